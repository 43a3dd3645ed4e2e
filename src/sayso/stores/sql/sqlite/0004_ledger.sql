-- The ledger: signed blocks over the log. They stay when events are retired.

CREATE TABLE ledger_blocks (
    number INTEGER PRIMARY KEY,
    last   INTEGER NOT NULL,           -- the number of its last event
    record BLOB NOT NULL               -- JSON
);
CREATE INDEX ledger_blocks_last ON ledger_blocks (last);
