-- What `walrelay init --print-sql` prints: publication, slot, note. Apply as the owner of the table who also has
-- REPLICATION, or as a superuser, once, after outbox.sql; then run `walrelay init`, which the relay's own role can do:
-- it checks all this and writes the lane state to Redis.
--
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f postgres/publication.sql

-- The publication comes before the slot: the slot decodes with the catalog of its time.
CREATE PUBLICATION "walrelay" FOR TABLE "public"."outbox" WITH (publish = 'insert', publish_via_partition_root = true);

-- The slot keeps WAL from here on until the relay confirms it. Not inside of a transaction that has written.
-- From version 17 on standbys with sync_replication_slots keep a copy of it, for the day when one is promoted.
DO $$ BEGIN EXECUTE CASE WHEN current_setting('server_version_num')::int < 170000
  THEN 'SELECT lsn FROM pg_create_logical_replication_slot(''walrelay'', ''pgoutput'')'
  ELSE 'SELECT lsn FROM pg_create_logical_replication_slot(''walrelay'', ''pgoutput'', failover => true)' END; END $$;

-- Where the slot began, so that `walrelay init` can tell a fresh start from a Redis that lost its data.
DO $$ BEGIN EXECUTE (
  SELECT format('COMMENT ON PUBLICATION %I IS %L', 'walrelay', 'walrelay: slot walrelay created at ' || confirmed_flush_lsn)
  FROM pg_replication_slots WHERE slot_name = 'walrelay'
); END $$;
