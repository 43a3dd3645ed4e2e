"""Sayso's benchmarks: the product beside a bare reference, in one run, on one machine.

    python -m bench             all figures, under three minutes
    python -m bench --quick     one short pass of each, under 40 seconds

reference   the least that can do the job: what this machine gives at best
servers     starts and ends both, each on a fresh folder
client      HTTP connections that cost almost nothing
load        the load generator, a process of its own
scenarios   what is measured
figures     what is to be reached
report      the table, docs/performance.md, JSON
"""
