-- The default outbox table, as `walrelay init --create-table` makes it. Producers insert into it in the transaction
-- that the event is about. An event may be deleted as soon as it is committed: the relay reads the WAL, not the table.

CREATE TABLE IF NOT EXISTS "public"."outbox" (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  aggregatetype text NOT NULL,
  aggregateid text NOT NULL,
  type text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
