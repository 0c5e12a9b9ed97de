import { expect, test } from 'vitest';
import { isLong, settle } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { CrashScene } from '../support/crash-run.ts';
import { Oracle } from '../support/exactness.ts';
import { MESSAGES_ENV, runEmitSql } from '../support/message-outbox.ts';
import { createOutbox } from '../support/servers.ts';

const KILLS = Number(process.env['CHAOS_KILLS'] ?? (isLong ? 150 : 24));

/**
 * The producers insert into a table, which nobody relays: a trigger emits each row as a message, so that the oracle, which reads
 * the inserts, knows what should stand in the streams and where.
 */
test(`messages: killed ${KILLS} times at random and at named points, under load, every event stands once and in order`, async () => {
  const random = new Random(chaosSeed('messages'));
  await using outbox = await createOutbox({ isInitialized: false, env: MESSAGES_ENV });
  await runEmitSql(outbox);
  await outbox.query(`CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL,
    aggregateid text NOT NULL, type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`);
  await outbox.query(`CREATE FUNCTION emit_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    -- What a table has as the JSON text '""' or 'null', a message says as a text: as itself it would be an empty one, or NULL.
    PERFORM outbox.emit(NEW.aggregatetype, NEW.aggregateid, NEW.type, id => NEW.id, payload => CASE
      WHEN jsonb_typeof(NEW.payload) IN ('string', 'null') THEN to_jsonb(NEW.payload::text) ELSE NEW.payload END);
    -- What is none must change nothing about what is one.
    IF random() < 0.02 THEN PERFORM pg_logical_emit_message(false, 'outbox', 'no event'); END IF;
    IF random() < 0.02 THEN PERFORM pg_logical_emit_message(true, 'other', 'no event'); END IF;
    RETURN NULL; END $$`);
  await outbox.query('CREATE TRIGGER emit AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION emit_row()');
  await outbox.query('CREATE PUBLICATION walrelay FOR TABLE outbox');
  await outbox.init();
  const oracle = await Oracle.create(outbox);
  await using scene = await CrashScene.open(outbox, random);
  const daemon = await scene.strike(KILLS);
  const events = await settle({ outbox, oracle, daemon }, scene.workload);
  console.log(`messages: ${KILLS} kills, ${events} events`);
  expect(events).toBeGreaterThan(1000);
  expect(scene.workload.failedCount).toBe(0);
});
