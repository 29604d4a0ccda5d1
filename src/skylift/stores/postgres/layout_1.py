"""The first layout of the database. Never changed once released: the next one is another file.

Texts that come from users are `bytea`, in UTF-8: PostgreSQL's own texts hold no NUL, and bytes are compared as they
are, whatever the database's locale. Names that we make ourselves are `text`. Every change of a run locks its row in
`runs` and compares owner and position there, so that of two engines one is refused.
"""

SQL = """
CREATE TABLE writers (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch integer NOT NULL,
    batch bigint NOT NULL,
    seen timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE engines (
    owner bytea PRIMARY KEY,
    expires timestamptz NOT NULL,
    started timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE runs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bytea NOT NULL UNIQUE,
    name bytea NOT NULL,
    pipeline bytea NOT NULL,
    definition text COLLATE "C" NOT NULL,
    tasks text COLLATE "C",
    input_digest text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL,
    stopped_ms bigint,
    output bytea,
    error bytea,
    cause bytea,
    owner bytea,
    parent bytea,
    engine_version bytea NOT NULL,
    attributes bytea NOT NULL,
    account bytea NOT NULL,
    type text COLLATE "C" NOT NULL,
    limits text COLLATE "C" NOT NULL,
    last bigint NOT NULL DEFAULT 0, -- sequence of its last entry
    UNIQUE (name, pipeline)
) WITH (fillfactor = 70);
CREATE INDEX runs_by_time ON runs (created_ms, run_id);
CREATE INDEX runs_by_account ON runs (account, created_ms, run_id) WHERE account <> '';
CREATE INDEX runs_by_pipeline ON runs (pipeline, created_ms, run_id);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_open ON runs (owner, created_ms) WHERE status IN ('RUNNING', 'PAUSED');

CREATE TABLE appends (
    run bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    checksum bigint NOT NULL,
    entries bytea NOT NULL,
    PRIMARY KEY (run, first)
);

CREATE TABLE snapshots (
    run bigint PRIMARY KEY,
    sequence bigint NOT NULL,
    checksum bigint NOT NULL,
    state bytea NOT NULL
);

CREATE TABLE cache (
    key bytea PRIMARY KEY,
    run bigint NOT NULL,
    created_ms bigint NOT NULL,
    output bytea NOT NULL
);
CREATE INDEX cache_by_run ON cache (run);

CREATE TABLE signals (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL,
    event bytea NOT NULL
);
CREATE INDEX signals_by_run ON signals (run);

CREATE TABLE offers (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue bytea NOT NULL,
    token bytea NOT NULL UNIQUE,
    run bigint NOT NULL,
    input bytea NOT NULL,
    offered_ms bigint NOT NULL
);
CREATE INDEX offers_by_queue ON offers (queue, number);
CREATE INDEX offers_by_run ON offers (run);

CREATE TABLE documents (
    digest text COLLATE "C" PRIMARY KEY,
    text bytea NOT NULL
);

CREATE TABLE resources (
    kind bytea NOT NULL,
    key bytea NOT NULL,
    revision bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE held ( -- documents that a resource needs
    kind bytea NOT NULL,
    key bytea NOT NULL,
    digest text COLLATE "C" NOT NULL REFERENCES documents (digest),
    PRIMARY KEY (kind, key, digest)
);
CREATE INDEX held_by_digest ON held (digest);

CREATE FUNCTION advance_writer(of_number bigint, of_epoch bigint, to_batch bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE writers SET batch = to_batch, seen = now() WHERE number = of_number AND epoch = of_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another connection has taken this writer over' USING ERRCODE = 'SK003';
    END IF;
END $$;

CREATE FUNCTION create_runs(
    run_ids bytea[], names bytea[], pipelines bytea[], definitions text[], tables text[], digests text[],
    statuses text[], createds bigint[], stoppeds bigint[], outputs bytea[], errors bytea[], causes bytea[],
    owners bytea[], parents bytea[], versions bytea[], facts bytea[], accounts bytea[], types text[], limit_names text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO runs (run_id, name, pipeline, definition, tasks, input_digest, status, created_ms, stopped_ms, output,
                      error, cause, owner, parent, engine_version, attributes, account, type, limits)
    SELECT * FROM unnest(run_ids, names, pipelines, definitions, tables, digests, statuses, createds, stoppeds, outputs,
                         errors, causes, owners, parents, versions, facts, accounts, types, limit_names);
END $$;

CREATE FUNCTION refuse_append(refused bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    SELECT owner, last INTO found FROM runs WHERE run_id = refused;
    RAISE EXCEPTION 'the engine may not append to a run' USING ERRCODE = 'SK001', DETAIL =
        concat_ws(' ', encode(refused, 'hex'), coalesce(encode(found.owner, 'hex'), '-'), found.last);
END $$;

-- Loops and subqueries by key, not joins: a plan made while the tables were small must not become a slow one.
CREATE FUNCTION advance_runs(asked bytea, ids bytea[], befores bigint[], lasts bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT * FROM unnest(ids, befores, lasts) AS one (run_id, before, last) LOOP
        UPDATE runs SET last = given.last
            WHERE runs.run_id = given.run_id AND runs.owner = asked AND runs.last = given.before;
        IF NOT FOUND THEN
            PERFORM refuse_append(given.run_id);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION update_runs(
    asked bytea, ids bytea[], befores bigint[], lasts bigint[], statuses text[], stoppeds bigint[], outputs bytea[],
    errors bytea[], causes bytea[], replaced boolean[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT * FROM unnest(ids, befores, lasts, statuses, stoppeds, outputs, errors, causes, replaced)
            AS one (run_id, before, last, status, stopped_ms, output, error, cause, replace)
    LOOP
        UPDATE runs SET last = coalesce(given.last, runs.last),
                        status = CASE WHEN given.replace THEN given.status ELSE runs.status END,
                        stopped_ms = CASE WHEN given.replace THEN given.stopped_ms ELSE runs.stopped_ms END,
                        output = CASE WHEN given.replace THEN given.output ELSE runs.output END,
                        error = CASE WHEN given.replace THEN given.error ELSE runs.error END,
                        cause = CASE WHEN given.replace THEN given.cause ELSE runs.cause END
            WHERE runs.run_id = given.run_id AND runs.owner = asked
            AND runs.last = coalesce(given.before, runs.last);
        IF NOT FOUND THEN
            PERFORM refuse_append(given.run_id);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION add_entries(ids bytea[], firsts bigint[], lasts bigint[], checksums bigint[], datas bytea[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO appends (run, first, last, checksum, entries)
        SELECT (SELECT number FROM runs WHERE runs.run_id = given.run_id),
               given.first, given.last, given.checksum, given.entries
        FROM unnest(ids, firsts, lasts, checksums, datas) AS given (run_id, first, last, checksum, entries);
END $$;

CREATE FUNCTION keep_snapshots(ids bytea[], sequences bigint[], checksums bigint[], states bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO snapshots (run, sequence, checksum, state)
        SELECT * FROM (
            SELECT (SELECT number FROM runs WHERE runs.run_id = given.run_id) AS run,
                   given.sequence, given.checksum, given.state
            FROM unnest(ids, sequences, checksums, states) AS given (run_id, sequence, checksum, state)
        ) AS known WHERE known.run IS NOT NULL
    ON CONFLICT (run) DO UPDATE SET sequence = excluded.sequence, checksum = excluded.checksum, state = excluded.state;
END $$;

CREATE FUNCTION keep_cached(keys bytea[], ids bytea[], createds bigint[], outputs bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cache (key, run, created_ms, output)
        SELECT * FROM (
            SELECT given.key, (SELECT number FROM runs WHERE runs.run_id = given.run_id) AS run,
                   given.created_ms, given.output
            FROM unnest(keys, ids, createds, outputs) AS given (key, run_id, created_ms, output)
        ) AS known WHERE known.run IS NOT NULL ORDER BY known.key -- the same order in every engine: no deadlock
    ON CONFLICT (key) DO UPDATE SET run = excluded.run, created_ms = excluded.created_ms, output = excluded.output;
END $$;

CREATE FUNCTION drop_signals(numbers bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM signals WHERE number = ANY (numbers);
END $$;

CREATE FUNCTION offer_tasks(queues bytea[], tokens bytea[], ids bytea[], inputs bytea[], times bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO offers (queue, token, run, input, offered_ms)
        SELECT known.queue, known.token, known.run, known.input, known.offered_ms FROM (
            SELECT given.*, (SELECT number FROM runs WHERE runs.run_id = given.run_id) AS run
            FROM unnest(queues, tokens, ids, inputs, times) WITH ORDINALITY
                AS given (queue, token, run_id, input, offered_ms, position)
        ) AS known WHERE known.run IS NOT NULL ORDER BY known.position
    ON CONFLICT (token) DO NOTHING;
END $$;

CREATE FUNCTION withdraw_tasks(tokens bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM offers WHERE token = ANY (tokens);
END $$;
"""
