-- Users, keys, groups and what else is small and changes seldom.

CREATE TABLE records (
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    tenant  TEXT NOT NULL,
    owner   TEXT NOT NULL,
    handle  TEXT NOT NULL,             -- another unique name, if not empty
    version INTEGER NOT NULL,          -- rises with each change
    body    BLOB NOT NULL,             -- JSON
    PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX records_handle ON records (kind, handle) WHERE handle <> '';
CREATE INDEX records_owner ON records (kind, tenant, owner, id);
