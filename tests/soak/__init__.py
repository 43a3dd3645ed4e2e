"""The soak: much at once, and everything breaks; afterwards, what was acknowledged is looked for.

    make soak                                       five minutes, on SQLite and on PostgreSQL
    make soak ARGS="--minutes 15 --seed 7 --store postgres"

places      the servers of one store, and how to start, stop and look into them
watched     one process that is killed, stopped, paused, and always comes back
load        agents and people: what they do is drawn from the seed
caller      HTTP as our clients do it: what passes by itself is tried again
sink        where requests want to be told of their end; it fails now and then
streams     followers of the events, who resume where they were
faults      what breaks, and when
ledger      what clients were told, which is what must be there
kept        what is there: in the database, and as the API tells it
judge       the one against the other: lost, doubled, stuck, wrong
report      the table, and JSON
storm       all of it, in order
"""
