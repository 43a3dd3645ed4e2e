-- Times are microseconds since 1970, UTC; records are JSON.

CREATE TABLE requests (
    id          TEXT PRIMARY KEY,      -- UUIDv7: rows are written in the order of their key
    tenant      TEXT NOT NULL,
    status      TEXT NOT NULL,
    version     INTEGER NOT NULL,
    session_id  TEXT,
    deadline_at INTEGER,
    key         TEXT,                  -- idempotency key
    fingerprint TEXT,                  -- of what was sent with that key
    record      BLOB NOT NULL
);
-- Partial, so that each costs only what it serves: inbox, sweep, history, replays, sessions.
CREATE INDEX requests_pending ON requests (tenant, id) WHERE status = 'pending';
CREATE INDEX requests_due ON requests (deadline_at)
    WHERE status = 'pending' AND deadline_at IS NOT NULL;
CREATE INDEX requests_closed ON requests (tenant, id) WHERE status <> 'pending';
CREATE UNIQUE INDEX requests_key ON requests (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX requests_session ON requests (tenant, session_id, id) WHERE session_id IS NOT NULL;

CREATE TABLE events (
    id     INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    record BLOB NOT NULL
);

CREATE TABLE sessions (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE logins (
    token_hash TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL,
    record     BLOB NOT NULL
);

CREATE TABLE used_links (
    name       TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
