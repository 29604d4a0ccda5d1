CREATE SCHEMA skylift;
CREATE FUNCTION skylift.add_entries(ids bytea[], firsts bigint[], lasts bigint[], checksums bigint[], datas bytea[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO appends (run, first, last, checksum, entries)
        SELECT (SELECT number FROM runs WHERE runs.run_id = given.run_id),
               given.first, given.last, given.checksum, given.entries
        FROM unnest(ids, firsts, lasts, checksums, datas) AS given (run_id, first, last, checksum, entries);
END $$;
CREATE FUNCTION skylift.advance_runs(asked bytea, ids bytea[], befores bigint[], lasts bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION skylift.advance_writer(of_number bigint, of_epoch bigint, to_batch bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE writers SET batch = to_batch, seen = now() WHERE number = of_number AND epoch = of_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another connection has taken this writer over' USING ERRCODE = 'SK003';
    END IF;
END $$;
CREATE FUNCTION skylift.create_runs(run_ids bytea[], names bytea[], pipelines bytea[], definitions text[], tables text[], digests text[], statuses text[], createds bigint[], stoppeds bigint[], outputs bytea[], errors bytea[], causes bytea[], owners bytea[], parents bytea[], versions bytea[], facts bytea[], accounts bytea[], types text[], limit_names text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO runs (run_id, name, pipeline, definition, tasks, input_digest, status, created_ms, stopped_ms, output,
                      error, cause, owner, parent, engine_version, attributes, account, type, limits)
    SELECT * FROM unnest(run_ids, names, pipelines, definitions, tables, digests, statuses, createds, stoppeds, outputs,
                         errors, causes, owners, parents, versions, facts, accounts, types, limit_names);
END $$;
CREATE FUNCTION skylift.drop_signals(numbers bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM signals WHERE number = ANY (numbers);
END $$;
CREATE FUNCTION skylift.keep_cached(keys bytea[], ids bytea[], createds bigint[], outputs bytea[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO cache (key, run, created_ms, output)
        SELECT * FROM (
            SELECT given.key, (SELECT number FROM runs WHERE runs.run_id = given.run_id) AS run,
                   given.created_ms, given.output
            FROM unnest(keys, ids, createds, outputs) AS given (key, run_id, created_ms, output)
        ) AS known WHERE known.run IS NOT NULL ORDER BY known.key -- the same order in every engine: no deadlock
    ON CONFLICT (key) DO UPDATE SET run = excluded.run, created_ms = excluded.created_ms, output = excluded.output;
END $$;
CREATE FUNCTION skylift.keep_snapshots(ids bytea[], sequences bigint[], checksums bigint[], states bytea[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO snapshots (run, sequence, checksum, state)
        SELECT * FROM (
            SELECT (SELECT number FROM runs WHERE runs.run_id = given.run_id) AS run,
                   given.sequence, given.checksum, given.state
            FROM unnest(ids, sequences, checksums, states) AS given (run_id, sequence, checksum, state)
        ) AS known WHERE known.run IS NOT NULL
    ON CONFLICT (run) DO UPDATE SET sequence = excluded.sequence, checksum = excluded.checksum, state = excluded.state;
END $$;
CREATE FUNCTION skylift.offer_tasks(queues bytea[], tokens bytea[], ids bytea[], inputs bytea[], times bigint[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO offers (queue, token, run, input, offered_ms)
        SELECT known.queue, known.token, known.run, known.input, known.offered_ms FROM (
            SELECT given.*, (SELECT number FROM runs WHERE runs.run_id = given.run_id) AS run
            FROM unnest(queues, tokens, ids, inputs, times) WITH ORDINALITY
                AS given (queue, token, run_id, input, offered_ms, position)
        ) AS known WHERE known.run IS NOT NULL ORDER BY known.position
    ON CONFLICT (token) DO NOTHING;
END $$;
CREATE FUNCTION skylift.refuse_append(refused bytea) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    found record;
BEGIN
    SELECT owner, last INTO found FROM runs WHERE run_id = refused;
    RAISE EXCEPTION 'the engine may not append to a run' USING ERRCODE = 'SK001', DETAIL =
        concat_ws(' ', encode(refused, 'hex'), coalesce(encode(found.owner, 'hex'), '-'), found.last);
END $$;
CREATE FUNCTION skylift.update_runs(asked bytea, ids bytea[], befores bigint[], lasts bigint[], statuses text[], stoppeds bigint[], outputs bytea[], errors bytea[], causes bytea[], replaced boolean[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION skylift.withdraw_tasks(tokens bytea[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM offers WHERE token = ANY (tokens);
END $$;
CREATE TABLE skylift.appends (
    run bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    checksum bigint NOT NULL,
    entries bytea NOT NULL
);
CREATE TABLE skylift.cache (
    key bytea NOT NULL,
    run bigint NOT NULL,
    created_ms bigint NOT NULL,
    output bytea NOT NULL
);
CREATE TABLE skylift.documents (
    digest text NOT NULL COLLATE pg_catalog."C",
    text bytea NOT NULL
);
CREATE TABLE skylift.engines (
    owner bytea NOT NULL,
    expires timestamp with time zone NOT NULL,
    started timestamp with time zone NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE skylift.held (
    kind bytea NOT NULL,
    key bytea NOT NULL,
    digest text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE skylift.layout (
    version integer NOT NULL
);
CREATE TABLE skylift.offers (
    number bigint NOT NULL,
    queue bytea NOT NULL,
    token bytea NOT NULL,
    run bigint NOT NULL,
    input bytea NOT NULL,
    offered_ms bigint NOT NULL
);
ALTER TABLE skylift.offers ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME skylift.offers_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE skylift.resources (
    kind bytea NOT NULL,
    key bytea NOT NULL,
    revision bigint NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE skylift.runs (
    number bigint NOT NULL,
    run_id bytea NOT NULL,
    name bytea NOT NULL,
    pipeline bytea NOT NULL,
    definition text NOT NULL COLLATE pg_catalog."C",
    tasks text COLLATE pg_catalog."C",
    input_digest text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
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
    type text NOT NULL COLLATE pg_catalog."C",
    limits text NOT NULL COLLATE pg_catalog."C",
    last bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='70');
ALTER TABLE skylift.runs ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME skylift.runs_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE skylift.signals (
    number bigint NOT NULL,
    run bigint NOT NULL,
    event bytea NOT NULL
);
ALTER TABLE skylift.signals ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME skylift.signals_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE skylift.snapshots (
    run bigint NOT NULL,
    sequence bigint NOT NULL,
    checksum bigint NOT NULL,
    state bytea NOT NULL
);
CREATE TABLE skylift.writers (
    number integer NOT NULL,
    epoch integer NOT NULL,
    batch bigint NOT NULL,
    seen timestamp with time zone NOT NULL
)
WITH (fillfactor='50');
ALTER TABLE skylift.writers ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME skylift.writers_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO skylift.appends VALUES (1, 1, 3, 970922066, '\x5b5b312c313736373232353630303030302c7b2274797065223a2252756e53746172746564222c22696e707574223a7b227261746573223a5b302e315d7d2c2273656564223a372c22636f6e74657874223a7b7d7d5d2c5b322c313736373232353630303030312c7b2274797065223a225461736b537563636565646564222c22746f6b656e223a227431222c226f7574707574223a312c227573616765223a7b226475726174696f6e5f6d73223a312e357d7d5d2c5b332c313736373232353630303030322c7b2274797065223a2254696d65724669726564222c2274696d6572223a317d5d5d');
INSERT INTO skylift.cache VALUES ('\x6b', 1, 5, '\x5b315d');
INSERT INTO skylift.documents VALUES ('2bc2ab7f562d4b9c53d5a64b0712e96ecd9fd976a15abce2686e3144e9121145', '\x7b2253746172744174223a2241222c22537461746573223a7b2241223a7b2254797065223a2253756363656564227d7d7d');
INSERT INTO skylift.held VALUES ('\x73746174652d6d616368696e65', '\x61726e3a6d', '2bc2ab7f562d4b9c53d5a64b0712e96ecd9fd976a15abce2686e3144e9121145');
INSERT INTO skylift.layout VALUES (1);
INSERT INTO skylift.offers OVERRIDING SYSTEM VALUE VALUES (1, '\x61726e3a71', '\x72756e2d313a7431', 1, '\x7b7d', 7);
INSERT INTO skylift.resources VALUES ('\x73746174652d6d616368696e65', '\x61726e3a6d', 1, '\x7b7d');
INSERT INTO skylift.runs OVERRIDING SYSTEM VALUE VALUES (1, '\x72756e2d31', '\x6669727374', '\x6661636573', '2bc2ab7f562d4b9c53d5a64b0712e96ecd9fd976a15abce2686e3144e9121145', NULL, '0000000000000000000000000000000000000000000000000000000000000000', 'RUNNING', 1767225600000, NULL, NULL, NULL, NULL, '\x656e67696e652d31', NULL, '\x302e312e30', '\x7b2266696c65223a2266616365732e7079227d', '\x313233343536373839303132', 'EXPRESS', 'service', 3);
INSERT INTO skylift.runs OVERRIDING SYSTEM VALUE VALUES (2, '\x72756e2d32', '\x7365636f6e64', '\x6661636573', '2bc2ab7f562d4b9c53d5a64b0712e96ecd9fd976a15abce2686e3144e9121145', NULL, '0000000000000000000000000000000000000000000000000000000000000000', 'SUCCEEDED', 1767225700000, 1767225800000, '\x7b226163637572616379223a302e39377d', NULL, NULL, '\x656e67696e652d30', NULL, '\x302e312e30', '\x7b7d', '\x', 'STANDARD', 'local', 0);
INSERT INTO skylift.signals OVERRIDING SYSTEM VALUE VALUES (1, 1, '\x7b2274797065223a2253746f70526571756573746564222c226572726f72223a2245227d');
INSERT INTO skylift.snapshots VALUES (1, 2, 2744374011, '\x7374617465');
INSERT INTO skylift.writers OVERRIDING SYSTEM VALUE VALUES (2, 1, 2, '2026-11-21 13:08:44.486857+00');
INSERT INTO skylift.writers OVERRIDING SYSTEM VALUE VALUES (1, 1, 4, '2026-11-21 13:08:44.490871+00');
SELECT pg_catalog.setval('skylift.offers_number_seq', 1, true);
SELECT pg_catalog.setval('skylift.runs_number_seq', 2, true);
SELECT pg_catalog.setval('skylift.signals_number_seq', 1, true);
SELECT pg_catalog.setval('skylift.writers_number_seq', 2, true);
ALTER TABLE ONLY skylift.appends
    ADD CONSTRAINT appends_pkey PRIMARY KEY (run, first);
ALTER TABLE ONLY skylift.cache
    ADD CONSTRAINT cache_pkey PRIMARY KEY (key);
ALTER TABLE ONLY skylift.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY skylift.engines
    ADD CONSTRAINT engines_pkey PRIMARY KEY (owner);
ALTER TABLE ONLY skylift.held
    ADD CONSTRAINT held_pkey PRIMARY KEY (kind, key, digest);
ALTER TABLE ONLY skylift.offers
    ADD CONSTRAINT offers_pkey PRIMARY KEY (number);
ALTER TABLE ONLY skylift.offers
    ADD CONSTRAINT offers_token_key UNIQUE (token);
ALTER TABLE ONLY skylift.resources
    ADD CONSTRAINT resources_pkey PRIMARY KEY (kind, key);
ALTER TABLE ONLY skylift.runs
    ADD CONSTRAINT runs_name_pipeline_key UNIQUE (name, pipeline);
ALTER TABLE ONLY skylift.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (number);
ALTER TABLE ONLY skylift.runs
    ADD CONSTRAINT runs_run_id_key UNIQUE (run_id);
ALTER TABLE ONLY skylift.signals
    ADD CONSTRAINT signals_pkey PRIMARY KEY (number);
ALTER TABLE ONLY skylift.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (run);
ALTER TABLE ONLY skylift.writers
    ADD CONSTRAINT writers_pkey PRIMARY KEY (number);
CREATE INDEX cache_by_run ON skylift.cache USING btree (run);
CREATE INDEX held_by_digest ON skylift.held USING btree (digest);
CREATE INDEX offers_by_queue ON skylift.offers USING btree (queue, number);
CREATE INDEX offers_by_run ON skylift.offers USING btree (run);
CREATE INDEX runs_by_account ON skylift.runs USING btree (account, created_ms, run_id) WHERE (account <> '\x'::bytea);
CREATE INDEX runs_by_parent ON skylift.runs USING btree (parent) WHERE (parent IS NOT NULL);
CREATE INDEX runs_by_pipeline ON skylift.runs USING btree (pipeline, created_ms, run_id);
CREATE INDEX runs_by_time ON skylift.runs USING btree (created_ms, run_id);
CREATE INDEX runs_open ON skylift.runs USING btree (owner, created_ms) WHERE (status = ANY (ARRAY['RUNNING'::text, 'PAUSED'::text]));
CREATE INDEX signals_by_run ON skylift.signals USING btree (run);
ALTER TABLE ONLY skylift.held
    ADD CONSTRAINT held_digest_fkey FOREIGN KEY (digest) REFERENCES skylift.documents(digest);
