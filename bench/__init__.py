"""Sayso's benchmarks: the product beside a bare reference and its peers, in one run.

    python -m bench                        the product and its reference, under five minutes
    python -m bench --quick                one short pass of each, under a minute
    python -m bench --only peers-pause     some of them, by name
    python -m bench --all                  everything
    python -m bench --profile cycles       where the server's time goes

scenarios   what can be measured, by name
turns       product and reference, in turn
reference   the least that can do the job: what this machine gives at best
million     a store with a million pending; `pending` is its process
gate        what the gate costs around a call, beside hitloop's
deliveries  what is sent out, to `sink`
peers       others who pause a program until a person has answered
servers     starts and ends product and reference, each on a fresh folder
services    PostgreSQL and Redis, started when they are asked for
client      HTTP connections that cost almost nothing
load        the load generator, a process of its own
profile     where the server's time goes
figures     what is to be reached
sections    the tables; report, page: what is handed out
"""
