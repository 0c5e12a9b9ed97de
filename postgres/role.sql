-- The relay's role, with the least that `walrelay run` needs. For psql 15 or later, as a superuser (or, on a managed
-- server, as whoever may create replication roles), connected to the database of the outbox. Safe to repeat.
--
--   RELAY_PASSWORD='…' psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f postgres/role.sql
--
-- REPLICATION is for the slot; CONNECT is for the database. No SELECT: the rows come through the slot, and the
-- guards read only the catalog, which everybody may. No write: the position is kept in the slot and in Redis.
--
-- REPLICATION is not a small right: a role that has it can decode, with a slot of its own, every table of every
-- database it may connect to. Guard its password like read access to all of them.

\if :{?relay_password}
\else
  \getenv relay_password RELAY_PASSWORD
\endif

SELECT 'CREATE ROLE walrelay' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'walrelay') \gexec

-- Not defined: stops here with a syntax error, before the role can log in without a password.
ALTER ROLE walrelay WITH LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'relay_password';

GRANT CONNECT ON DATABASE :"DBNAME" TO walrelay;

-- Optional: for `walrelay audit`, `replay` and `explain`, and for WALRELAY_AUDIT_INTERVAL_MS. The name of your table; the
-- schema, where PUBLIC has no USAGE on it.
--
--   GRANT USAGE ON SCHEMA public TO walrelay;
--   GRANT SELECT ON public.outbox TO walrelay;
--
-- Optional: for WALRELAY_CLEANUP=delete (UPDATE on one column is what SELECT … FOR UPDATE asks for), and for
-- WALRELAY_CLEANUP=partitions (only the owner of a table makes and drops its partitions).
--
--   GRANT SELECT, DELETE, UPDATE (id) ON public.outbox TO walrelay;
--   GRANT outbox_owner TO walrelay;
