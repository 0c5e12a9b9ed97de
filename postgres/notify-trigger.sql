-- Wakes `walrelay poll` as soon as an event is committed, with WALRELAY_POLL_LISTEN_CHANNEL=walrelay_outbox. Optional: without
-- it the relay looks every WALRELAY_POLL_INTERVAL_MS, and with it, too. Apply as the owner of the table; safe to repeat.
--
-- Once per statement, not per row; and Postgres sends equal notifications of one transaction once. What it costs: commits
-- that notify take turns, in the whole cluster, so it is no gain where thousands of transactions commit in a second.

CREATE OR REPLACE FUNCTION "public"."walrelay_notify"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('walrelay_outbox', '');
  RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER walrelay_notify AFTER INSERT ON "public"."outbox"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."walrelay_notify"();
