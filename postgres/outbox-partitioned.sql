-- The outbox table partitioned by day, for WALRELAY_CLEANUP=partitions: what is confirmed and past the retention goes by
-- DROP TABLE, which leaves nothing for VACUUM. Instead of outbox.sql; a table that exists can't be turned into one.
--
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f postgres/outbox-partitioned.sql
--
-- Walrelay makes the partitions of the next days and drops old ones; for that its role has to be a member of the owner.

CREATE TABLE IF NOT EXISTS "public"."outbox" (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  aggregatetype text NOT NULL,
  aggregateid text NOT NULL,
  type text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- Postgres wants the column of the partitions in every unique key.
  PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

-- For rows of a day without a partition, when no relay has run for days: without it, producers would be refused.
CREATE TABLE IF NOT EXISTS "public"."outbox_default" PARTITION OF "public"."outbox" DEFAULT;

-- Today's and tomorrow's (UTC), so that nothing is in the default partition when Walrelay makes the others.
SET TimeZone = 'UTC';
DO $$
DECLARE
  day date;
BEGIN
  FOR day IN SELECT current_date + n FROM generate_series(0, 1) n LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS "public".%I PARTITION OF "public"."outbox" FOR VALUES FROM (%L) TO (%L)',
      'outbox_p' || to_char(day, 'YYYYMMDD'), day::timestamptz, (day + 1)::timestamptz);
  END LOOP;
END $$;
RESET TimeZone;

-- Optional, when the relay's role is not the owner:
--
--   GRANT outbox_owner TO walrelay;
