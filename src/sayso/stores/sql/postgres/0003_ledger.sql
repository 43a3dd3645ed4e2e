-- The ledger: signed blocks over the log. They stay when events are retired.

CREATE TABLE ledger_blocks (
    number bigint PRIMARY KEY,
    last   bigint NOT NULL,                    -- the number of its last event
    record bytea NOT NULL                      -- JSON
);
CREATE INDEX ledger_blocks_last ON ledger_blocks (last);
