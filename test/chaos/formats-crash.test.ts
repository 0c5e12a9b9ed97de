import { expect, inject, test } from 'vitest';
import { isLong } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { eventOfAnyFormat } from '../support/cloud-events.ts';
import type { RelayedEvent } from '../support/compare-streams.ts';
import { CrashScene } from '../support/crash-run.ts';
import { DEAD_LETTER_ENV, expectApart } from '../support/dead-letters.ts';
import { Oracle } from '../support/exactness.ts';
import { listedOutboxes } from '../support/listed-outboxes.ts';

const KILLS = Number(process.env['CHAOS_KILLS'] ?? (isLong ? 200 : 36));
const TABLES = ['outbox', 'returns'] as const;

/** Three shapes and the dead letters' in one script, and streams that both tables go to. */
const OUTBOXES = `
outboxes:
  - table: outbox
    format: cloudevents-structured
    routes: [{ when: { aggregatetype: shipment }, format: native, staticFields: { of: a route } }]
  - table: returns
    format: cloudevents-binary
    staticFields: { region: eu }`;

const TABLES_SQL = `${TABLES.map(
  (
    table,
  ) => `CREATE TABLE ${table} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text,
    type text, payload jsonb, created_at timestamptz NOT NULL DEFAULT clock_timestamp());`,
).join('\n')}
CREATE FUNCTION return_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
  INSERT INTO returns (aggregatetype, aggregateid, type, payload) VALUES (NEW.aggregatetype, NEW.aggregateid, NEW.type, NEW.payload);
  RETURN NULL; END';
CREATE TRIGGER return_row AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.aggregatetype = 'invoice') EXECUTE FUNCTION return_row()`;

/** Each entry is what its table and route say: of another shape, the same event would read the same. */
function eventInItsFormat(stream: string, fields: Readonly<Record<string, string>>): RelayedEvent {
  const event = eventOfAnyFormat(stream, fields);
  const found =
    fields['ce_id'] !== undefined
      ? `binary ${fields['ce_source']} ${fields['ce_region']}`
      : fields['data'] === undefined
        ? `native ${fields['of']}`
        : `structured ${(/"source":"(.*?)"/.exec(fields['data']) ?? [])[1]}`;
  const fitting =
    event.aggregateType === 'shipment'
      ? ['native a route']
      : [
          'structured /public.outbox',
          ...(event.aggregateType === 'invoice' ? ['binary /public.returns eu'] : []),
        ];
  if (!fitting.includes(found)) throw new Error(`an entry of ${stream} is ${found}`);
  return event;
}

test(`killed ${KILLS} times at random and at named points, two tables in several formats: every event once, in its format, in order`, async () => {
  const random = new Random(chaosSeed('formats-crash'));
  await using outbox = await listedOutboxes(
    {
      databaseUrl: inject('databaseUrl'),
      redisUrl: inject('redisUrl'),
      env: { ...DEAD_LETTER_ENV, WALRELAY_DEAD_LETTERS_MAX: '10000', WALRELAY_DEAD_LETTER_WINDOW_MS: '1000' },
    },
    () => OUTBOXES,
  );
  await outbox.query(TABLES_SQL);
  await outbox.init();
  const oracle = await Oracle.create(outbox, TABLES);
  await using scene = await CrashScene.open(outbox, random);
  const daemon = await scene.strike(KILLS);
  await scene.workload.stop();
  await outbox.waitUntilConfirmed(120_000);
  expect((await daemon.stop()).exitCode).toBe(0);
  // Without a type it is no CloudEvent.
  const { events, letters } = await expectApart(
    outbox,
    oracle,
    ({ type, aggregateType }) => type === '' && aggregateType !== 'shipment',
    eventInItsFormat,
  );
  console.log(`formats-crash: ${KILLS} kills, ${events} events, ${letters} dead letters`);
  expect(letters).toBeGreaterThan(10);
}, 600_000);
