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
CREATE INDEX records_tenant ON records (tenant, kind, id);
CREATE INDEX records_owner ON records (owner, kind, tenant, id);

-- Sign-ins by person, so that all of one can be shown, and ended.
ALTER TABLE logins ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
ALTER TABLE logins ADD COLUMN person_id TEXT NOT NULL DEFAULT '';
UPDATE logins SET
    tenant = coalesce(json_extract(CAST(record AS TEXT), '$.tenant'), 'default'),
    person_id = coalesce(json_extract(CAST(record AS TEXT), '$.person_id'), '');
CREATE INDEX logins_person ON logins (tenant, person_id);
CREATE INDEX logins_expired ON logins (expires_at);
