-- An outbox without a table: outbox.emit(…) writes the event into the WAL, and nowhere else, with the transaction that it is
-- about. For `messagePrefix: outbox` (WALRELAY_MESSAGE_PREFIX=outbox). As a superuser, in the database of the producers; safe
-- to repeat. docs/messages.md tells what you gain and what you lose.
--
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f postgres/outbox-emit.sql
--
-- Afterwards, for each role that may emit events:
--
--   GRANT USAGE ON SCHEMA outbox TO app;
--   GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outbox TO app;
--
--   SELECT outbox.emit('order', 'O-1', 'created', '{"total": 12.50}');

BEGIN;

-- The one role that may write logical messages. Nobody logs in as it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'outbox_emitter') THEN
    CREATE ROLE outbox_emitter WITH NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
  END IF;
END
$$;

-- Postgres lets every role call pg_logical_emit_message, with any prefix: whoever can connect could forge events. Its
-- signatures differ from version to version. Rights on it are each database's own.
DO $$
DECLARE
  emit_message regprocedure;
BEGIN
  FOR emit_message IN
    SELECT oid FROM pg_catalog.pg_proc
    WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::regnamespace
  LOOP
    EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', emit_message);
    EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO outbox_emitter', emit_message);
  END LOOP;
END
$$;

CREATE SCHEMA IF NOT EXISTS outbox;
GRANT USAGE ON SCHEMA outbox TO outbox_emitter;

-- Runs as outbox_emitter, whoever calls it, and with a search_path that nobody else writes to. The payload arrives byte for
-- byte as it is given here. Headers are further keys: map them with `fields`.
CREATE OR REPLACE FUNCTION outbox.emit(
  aggregate_type text,
  aggregate_id text,
  type text,
  payload text,
  headers jsonb DEFAULT '{}',
  id uuid DEFAULT gen_random_uuid()
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- What the relay could not read is refused to the writer, whose bug it is.
  PERFORM payload::json;
  IF id IS NULL THEN
    RAISE EXCEPTION 'outbox.emit: an event needs an id' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF jsonb_typeof(headers) <> 'object' THEN
    RAISE EXCEPTION 'outbox.emit: headers is a JSON object' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Of a key that is there twice the last counts: a header can't stand in for the event's own.
  PERFORM pg_logical_emit_message(true, 'outbox',
    '{' || CASE WHEN headers IS NULL OR headers = '{}' THEN '' ELSE substr(headers::text, 2, length(headers::text) - 2) || ',' END
    || '"id":"' || id
    || '","aggregatetype":' || coalesce(to_json(aggregate_type)::text, 'null')
    || ',"aggregateid":' || coalesce(to_json(aggregate_id)::text, 'null')
    || ',"type":' || coalesce(to_json(type)::text, 'null')
    || ',"payload":' || coalesce(payload, 'null') || '}');
  RETURN id;
END
$$;
ALTER FUNCTION outbox.emit(text, text, text, text, jsonb, uuid) OWNER TO outbox_emitter;

-- The same for a payload that is json or jsonb already.
CREATE OR REPLACE FUNCTION outbox.emit(
  aggregate_type text,
  aggregate_id text,
  type text,
  payload json,
  headers jsonb DEFAULT '{}',
  id uuid DEFAULT gen_random_uuid()
) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$ SELECT outbox.emit($1, $2, $3, $4::text, $5, $6) $$;

CREATE OR REPLACE FUNCTION outbox.emit(
  aggregate_type text,
  aggregate_id text,
  type text,
  payload jsonb,
  headers jsonb DEFAULT '{}',
  id uuid DEFAULT gen_random_uuid()
) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$ SELECT outbox.emit($1, $2, $3, $4::text, $5, $6) $$;

REVOKE EXECUTE ON FUNCTION
  outbox.emit(text, text, text, text, jsonb, uuid),
  outbox.emit(text, text, text, json, jsonb, uuid),
  outbox.emit(text, text, text, jsonb, jsonb, uuid)
FROM PUBLIC;

COMMIT;
