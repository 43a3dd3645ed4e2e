-- Users, keys, groups and what else is small and changes seldom; and sign-ins by person.

CREATE TABLE records (
    kind    text COLLATE "C" NOT NULL,
    id      text COLLATE "C" NOT NULL,
    tenant  text COLLATE "C" NOT NULL,
    owner   text COLLATE "C" NOT NULL,
    handle  text COLLATE "C" NOT NULL,         -- another unique name, if not empty
    version integer NOT NULL,                  -- rises with each change
    body    bytea NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX records_handle ON records (kind, handle) WHERE handle <> '';
-- None begins with the kind: while the table is empty, it would seem as good as the primary key.
CREATE INDEX records_tenant ON records (tenant, kind, id);
CREATE INDEX records_owner ON records (owner, kind, tenant, id);

-- The names of writes of records that were kept in the last hour, so that one whose connection was
-- lost before it was told can be told when it is sent again, and is not done twice.
CREATE TABLE record_writes (
    name    text COLLATE "C" PRIMARY KEY,
    kept_at timestamptz NOT NULL
);
CREATE INDEX record_writes_old ON record_writes (kept_at);

-- Sign-ins by person, so that all of one can be shown, and ended.
ALTER TABLE logins
    ADD COLUMN tenant    text COLLATE "C" NOT NULL DEFAULT 'default',
    ADD COLUMN person_id text COLLATE "C" NOT NULL DEFAULT '';
UPDATE logins SET
    tenant = coalesce(convert_from(record, 'UTF8')::json ->> 'tenant', 'default'),
    person_id = coalesce(convert_from(record, 'UTF8')::json ->> 'person_id', '');
CREATE INDEX logins_person ON logins (tenant, person_id);

-- Whether each record is still at the version before, and no other has its handle. What is told is
-- free of doubles; an empty body forgets. The caller holds the lock of the log.
CREATE FUNCTION records_fit(
    kinds text[], ids text[], handles text[], versions integer[], bodies bytea[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM unnest(kinds, ids, versions) AS told (kind, id, version)
        LEFT JOIN records AS kept ON kept.kind = told.kind AND kept.id = told.id
        WHERE coalesce(kept.version, 0) <> told.version - 1
    ) AND NOT EXISTS (
        SELECT FROM unnest(kinds, handles, bodies) AS told (kind, handle, body)
        JOIN records AS holder
            ON holder.kind = told.kind AND holder.handle = told.handle AND holder.handle <> ''
        WHERE told.body <> '' AND NOT EXISTS (
            SELECT FROM unnest(kinds, ids) AS ours (kind, id)
            WHERE ours.kind = holder.kind AND ours.id = holder.id
        )
    );
END $$;

-- Keeps or forgets records that fit, under the name of this write. A row gives its handle up before
-- another may take it; one whose handle stays is changed in its place.
CREATE FUNCTION keep_records(
    write text,
    kinds text[], ids text[], tenants text[], owners text[], handles text[], versions integer[],
    bodies bytea[]
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM records USING unnest(kinds, ids, handles, bodies) AS told (kind, id, handle, body)
    WHERE records.kind = told.kind AND records.id = told.id
        AND (told.body = '' OR records.handle <> told.handle);
    INSERT INTO records (kind, id, tenant, owner, handle, version, body)
    SELECT * FROM unnest(kinds, ids, tenants, owners, handles, versions, bodies)
        AS told (kind, id, tenant, owner, handle, version, body)
    WHERE told.body <> ''
    ON CONFLICT (kind, id) DO UPDATE SET tenant = excluded.tenant, owner = excluded.owner,
        version = excluded.version, body = excluded.body;
    DELETE FROM record_writes WHERE kept_at < now() - interval '1 hour';
    INSERT INTO record_writes (name, kept_at) VALUES (write, now());
END $$;

-- Records with their events and jobs: whether they are kept, now or by this write before. If not,
-- nothing was changed. As in commit_changes, what is read after the lock is true.
CREATE FUNCTION put_records(
    write text,
    kinds text[], ids text[], tenants text[], owners text[], handles text[], versions integer[],
    bodies bytea[],
    event_tenants text[], event_records bytea[],
    job_ids text[], job_tenants text[], job_dues timestamptz[], job_webhooks text[],
    job_records bytea[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7310868735);
    IF EXISTS (SELECT FROM record_writes WHERE name = write) THEN
        RETURN true;
    END IF;
    IF NOT records_fit(kinds, ids, handles, versions, bodies) THEN
        RETURN false;
    END IF;
    PERFORM keep_records(write, kinds, ids, tenants, owners, handles, versions, bodies);
    IF cardinality(event_records) > 0 THEN
        PERFORM append_events(event_tenants, event_records);
    END IF;
    IF cardinality(job_ids) > 0 THEN
        INSERT INTO jobs (id, tenant, state, due_at, attempt, webhook_id, record)
        SELECT job.id, job.tenant, 'waiting', job.due_at, 0, job.webhook_id, job.record
        FROM unnest(job_ids, job_tenants, job_dues, job_webhooks, job_records)
            AS job (id, tenant, due_at, webhook_id, record)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END $$;

-- One change with its records, all or nothing: the arguments of commit_changes, then those of
-- keep_records. Whether it is kept, now or by this write before.
CREATE FUNCTION commit_with_records(
    ids text[], tenants text[], expected integer[], versions integer[], statuses text[],
    session_ids text[], deadlines timestamptz[], keys text[], fingerprints text[],
    records bytea[],
    event_places integer[], event_tenants text[], event_records bytea[],
    job_places integer[], job_ids text[], job_tenants text[], job_dues timestamptz[],
    job_webhooks text[], job_records bytea[],
    write text,
    record_kinds text[], record_ids text[], record_tenants text[], record_owners text[],
    record_handles text[], record_versions integer[], record_bodies bytea[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7310868735);
    IF EXISTS (SELECT FROM record_writes WHERE name = write) THEN
        RETURN true;
    END IF;
    IF NOT records_fit(record_kinds, record_ids, record_handles, record_versions, record_bodies)
    THEN
        RETURN false;
    END IF;
    IF commit_changes(ids, tenants, expected, versions, statuses, session_ids, deadlines, keys,
                      fingerprints, records, event_places, event_tenants, event_records,
                      job_places, job_ids, job_tenants, job_dues, job_webhooks, job_records) = '{}'
    THEN
        RETURN false;
    END IF;
    PERFORM keep_records(write, record_kinds, record_ids, record_tenants, record_owners,
                         record_handles, record_versions, record_bodies);
    RETURN true;
END $$;
