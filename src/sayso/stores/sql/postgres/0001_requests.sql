-- Records are JSON, as bytes; ids and keys compare by byte, so that pages go on where they ended.

CREATE TABLE requests (
    id          text COLLATE "C" PRIMARY KEY,  -- UUIDv7: rows are written in the order of their key
    tenant      text COLLATE "C" NOT NULL,
    status      text COLLATE "C" NOT NULL,
    version     integer NOT NULL,
    session_id  text COLLATE "C",
    deadline_at timestamptz,
    key         text COLLATE "C",              -- idempotency key
    fingerprint text COLLATE "C",              -- of what was sent with that key
    record      bytea NOT NULL
);
-- Partial, so that each costs only what it serves: inbox, sweep, history, replays, sessions.
CREATE INDEX requests_pending ON requests (tenant, id) WHERE status = 'pending';
CREATE INDEX requests_due ON requests (deadline_at)
    WHERE status = 'pending' AND deadline_at IS NOT NULL;
CREATE INDEX requests_closed ON requests (tenant, id) WHERE status <> 'pending';
CREATE UNIQUE INDEX requests_key ON requests (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX requests_session ON requests (tenant, session_id, id) WHERE session_id IS NOT NULL;

CREATE TABLE events (
    id     bigint PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    record bytea NOT NULL
);

CREATE TABLE sessions (
    tenant text COLLATE "C" NOT NULL,
    id     text COLLATE "C" NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE logins (
    token_hash text COLLATE "C" PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    record     bytea NOT NULL
);
CREATE INDEX logins_expired ON logins (expires_at);

CREATE TABLE used_links (
    name       text COLLATE "C" PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_links_expired ON used_links (expires_at);

CREATE TABLE agreed (
    name  text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

CREATE TABLE jobs (
    id          text COLLATE "C" PRIMARY KEY,  -- made from what caused it
    tenant      text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    due_at      timestamptz NOT NULL,          -- while it runs: when its lease ends
    attempt     integer NOT NULL,              -- rises with each claim
    webhook_id  text COLLATE "C",
    finished_at timestamptz,
    record      bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_done ON jobs (finished_at) WHERE state = 'done';
CREATE INDEX jobs_dead ON jobs (tenant, id) WHERE state = 'dead';
CREATE INDEX jobs_webhook ON jobs (tenant, webhook_id, id) WHERE webhook_id IS NOT NULL;

CREATE TABLE webhooks (
    tenant text COLLATE "C" NOT NULL,
    id     text COLLATE "C" NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Appends to the log. Whoever holds the lock is alone with it until the transaction has ended, so
-- events are numbered in the order in which they become visible, without gaps: a reader that has
-- seen number n has seen all before it.
CREATE FUNCTION append_events(tenants text[], records bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7310868735);
    SELECT coalesce(max(id), 0) INTO last FROM events;
    INSERT INTO events (id, tenant, record)
    SELECT last + told.place, told.tenant, told.record
    FROM unnest(tenants, records) WITH ORDINALITY AS told (tenant, record, place);
END $$;

-- Keeps a batch of changes: each by itself if its request is still at the expected version (0: a
-- new one), with its events and jobs. Returns the places of those that were kept. Each statement
-- of a function sees what was committed before it began, so what is read after the lock is true.
CREATE FUNCTION commit_changes(
    ids text[], tenants text[], expected integer[], versions integer[], statuses text[],
    session_ids text[], deadlines timestamptz[], keys text[], fingerprints text[],
    records bytea[],
    event_places integer[], event_tenants text[], event_records bytea[],
    job_places integer[], job_ids text[], job_tenants text[], job_dues timestamptz[],
    job_webhooks text[], job_records bytea[]
) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    kept integer[] := '{}';
    moved integer[];
    added_ids text[];
BEGIN
    PERFORM pg_advisory_xact_lock(7310868735);
    IF 0 = ANY (expected) THEN
        WITH added AS (
            INSERT INTO requests
                (id, tenant, status, version, session_id, deadline_at, key, fingerprint, record)
            SELECT id, tenant, status, version, session_id, deadline_at, key, fingerprint, record
            FROM unnest(ids, tenants, expected, versions, statuses, session_ids, deadlines, keys,
                        fingerprints, records)
                AS asked (id, tenant, expected, version, status, session_id, deadline_at, key,
                          fingerprint, record)
            WHERE asked.expected = 0
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT coalesce(array_agg(id), '{}') INTO added_ids FROM added;
        kept := array_positions(expected, 0);
        IF cardinality(added_ids) < cardinality(kept) THEN
            SELECT coalesce(array_agg(place), '{}') INTO kept FROM (
                SELECT min(place)::integer AS place
                FROM unnest(ids, expected) WITH ORDINALITY AS asked (id, expected, place)
                WHERE asked.expected = 0 AND id = ANY (added_ids) GROUP BY id
            ) AS first;
        END IF;
    END IF;

    IF 0 < ANY (expected) THEN
        WITH asked AS (
            SELECT * FROM unnest(ids, expected, versions, statuses, deadlines, records)
                WITH ORDINALITY AS a (id, expected, version, status, deadline_at, record, place)
        ), changed AS (
            UPDATE requests SET status = asked.status, version = asked.version,
                deadline_at = asked.deadline_at, record = asked.record
            FROM asked
            WHERE requests.id = asked.id AND requests.version = asked.expected
                AND asked.expected > 0
            RETURNING asked.place
        )
        SELECT coalesce(array_agg(place::integer), '{}') INTO moved FROM changed;
        kept := kept || moved;
    END IF;

    IF cardinality(kept) < cardinality(ids) THEN
        SELECT array_agg(told.tenant ORDER BY told.n), array_agg(told.record ORDER BY told.n)
        INTO event_tenants, event_records
        FROM unnest(event_places, event_tenants, event_records) WITH ORDINALITY
            AS told (place, tenant, record, n)
        WHERE told.place = ANY (kept);
    END IF;
    PERFORM append_events(event_tenants, event_records);

    IF cardinality(job_ids) > 0 THEN
        INSERT INTO jobs (id, tenant, state, due_at, attempt, webhook_id, record)
        SELECT job.id, job.tenant, 'waiting', job.due_at, 0, job.webhook_id, job.record
        FROM unnest(job_places, job_ids, job_tenants, job_dues, job_webhooks, job_records)
            AS job (place, id, tenant, due_at, webhook_id, record)
        WHERE job.place = ANY (kept)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN kept;
END $$;
