-- What a change causes, kept in its transaction; and the subscriptions to events.

CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,      -- made from what caused it
    tenant      TEXT NOT NULL,
    state       TEXT NOT NULL,
    due_at      INTEGER NOT NULL,      -- while it runs: when its lease ends
    attempt     INTEGER NOT NULL,      -- rises with each claim; only its holder may settle the job
    webhook_id  TEXT,
    finished_at INTEGER,
    record      BLOB NOT NULL
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_running ON jobs (id) WHERE state = 'running';
CREATE INDEX jobs_done ON jobs (finished_at) WHERE state = 'done';
CREATE INDEX jobs_dead ON jobs (tenant, id) WHERE state = 'dead';
CREATE INDEX jobs_webhook ON jobs (tenant, webhook_id, id) WHERE webhook_id IS NOT NULL;

CREATE TABLE agreed (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE webhooks (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
);
