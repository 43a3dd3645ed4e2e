"""The page docs/performance.md, but for what is measured."""

PAGE = """\
# Performance

<!-- Written by `python -m bench --markdown docs/performance.md`; do not edit. -->

Measured on {day}, by one command that anybody can repeat:

```bash
make bench                # the product and its reference, under five minutes
make bench ARGS=--quick   # one short pass of each, under a minute
make bench ARGS=--all     # also the gate, peers, a million pending, and profiles: about 20 minutes
```

`ARGS="--only submits cycles"` makes some of them, `ARGS=--help` names them all, and
`ARGS="--all --markdown docs/performance.md"` writes this page.

{sections}

Medians of {passes} passes of {seconds} s; "passes" tells the lowest and the highest. `0.6x` means:
less than 0.6 of what stands beside it in the same run.

## What is not reached

{missed}

## How it is measured

The reference is the least that can do the job (`bench/reference.py`): raw ASGI on the same uvicorn,
one SQLite table, one row for each request, WAL with `synchronous=FULL`, one writer thread with
group commit. It checks nothing, signs nobody in, writes no events and no log. It tells what this
machine and these parts give at best, so that a figure means something on another machine too:
compare the ratios.

- Product and reference take turns, each pass on a fresh server with an empty database on a real
  disk, and each is first every other time. All traffic stays on 127.0.0.1.
- Everything runs in one server process on one core. The product runs as it comes: `sayso serve`.
- The product answers hot requests in its fast lane (`server/fast_lane.py`): from the parser
  straight to the endpoint, without the ASGI scope, cycle and messages that the reference makes.
- **PostgreSQL** has a reference of its own (`bench/reference_postgres.py`): group commit by
  `unnest`, reads of many ids together, one NOTIFY for each batch. The database is as durable as
  the file (`fsync`, `synchronous_commit`), is reached over 127.0.0.1, and shares both cores with
  the server and the load.
- The load generator is a process of its own on another core (`bench/load.py`). It tells how much of
  its core it used; past 90 % the table says so. A single reply that is not a success ends the run.
- **Submits**: 128 connections, a body of about 1 KB with an action, a session and metadata. A reply
  comes after the row and its event are on the disk. The product is asked with an agent's key (the
  reference knows none), chains and signs its log meanwhile, and has no rules.
- **Full cycles**: submit, a wait that is held for 5 ms or more, a person's decision with a bearer
  token, the release. Three requests, two durable writes, 256 cycles in flight.
- **Held waits**: each has a connection of its own. Memory is the resident memory of the server
  process; "each" is what it grew by, divided by their number. Then 400 decisions a second come in,
  and the time is taken from sending one until the waiting side has the reply. Last, all waits are
  decided as fast as 32 connections can; that is 10,000 durable decisions and 10,000 releases.
- **Deliveries** go to a sink on the load's core that answers 204 and counts each `webhook-id` once;
  one that comes twice ends the run. For each second of a pass a backlog of 5,000 is in the database
  when the server starts; its rate is from the first to the last arrival. Then 1,000 requests for
  each second, with a `callback_url`, are decided as fast as 32 connections can; that rate is from
  the first decision to the last arrival.
- **The gate** is measured in a process that does nothing else, and hitloop's in one of its own, on
  the same core, in turn. A call is timed from outside, from the proposal to what the tool returned.
- **Start-up**: from the start of the process until it prints its link. `import sayso` and
  `sayso --help` are whole processes; beside them stands an interpreter that does nothing.

## The machine

{facts}

## Notes of the run

{notes}
"""
