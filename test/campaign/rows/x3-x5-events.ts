import type { Row } from '../row.ts';
import { Client } from 'pg';
import { readEntries } from '../../support/exactness.ts';
import type { Scene } from '../scene.ts';

export const rows: readonly Row[] = [
  {
    id: 'X3',
    fault: 'events without aggregate, type or stream, and with a stream name that attacks',
    must: 'HALT',
    runs: 1,
    async run(context) {
      const scene = await context.openScene();
      for (const column of ['aggregatetype', 'aggregateid', 'type', 'payload'])
        await scene.outbox.query(`ALTER TABLE outbox ALTER ${column} DROP NOT NULL`);
      const daemon = await scene.startStreaming();
      context.fault('NULL and empty columns');
      await scene.outbox.query(
        `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
         VALUES ('order', NULL, 't', '{}'), ('order', '', '', '{}'), ('order', '1', NULL, NULL)`,
      );
      await scene.settle(daemon);

      for (const [name, code] of [
        ['or\r\nder', 'EVENT_STREAM_NAME'],
        ['or der', 'EVENT_STREAM_NAME'],
        ['\u001b[31mred', 'EVENT_STREAM_NAME'],
        ['x'.repeat(300), 'EVENT_STREAM_NAME'],
        ['', 'EVENT_NO_ROUTE'],
        [null, 'EVENT_NO_ROUTE'],
      ] as const) {
        context.fault(`a stream called ${JSON.stringify(name)?.slice(0, 20)}`);
        await refuseName(scene, name, code);
      }
    },
  },
  {
    id: 'X4',
    fault: 'a producer uses the id of an event again',
    must: 'OK',
    runs: 1,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      await scene.outbox.query('ALTER TABLE outbox DROP CONSTRAINT outbox_pkey');
      const daemon = await scene.startStreaming();
      const fault = context.fault('the same id in one transaction, and in the next');
      for (let count = 0; count < 2; count += 1) {
        await scene.outbox.query(
          `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
           SELECT '00000000-0000-4000-8000-000000000001', 'order', n::text, 't', '{}' FROM generate_series(1, 2) n`,
        );
      }
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
      const entries = (await readEntries(scene.outbox.redis, scene.outbox.name)).get(scene.outbox.stream());
      if (entries?.length !== 4) throw new Error(`four rows are four events, not ${entries?.length}`);
    },
  },
  {
    id: 'X5',
    fault: 'two sessions write to one aggregate without a lock',
    must: 'OK',
    runs: 2,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      const fault = context.fault('interleaved inserts, commits in the other order');
      const clients = [1, 2].map(() => new Client({ connectionString: scene.outbox.databaseUrl }));
      context.defer(async () => await Promise.all(clients.map((client) => client.end())));
      for (const client of clients) await client.connect();
      for (let count = 0; count < 50; count += 1) {
        const [first, second] = context.random.shuffle(clients) as [Client, Client];
        for (const client of clients) await client.query('BEGIN');
        // Inserted last, committed first, or both at once.
        for (const client of [first, second, first]) await client.query(INSERT, [String(count)]);
        if (context.random.next() < 0.5) await Promise.all([second.query('COMMIT'), first.query('COMMIT')]);
        else for (const client of [second, first]) await client.query('COMMIT');
      }
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
];

const INSERT =
  "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', to_jsonb($1::text))";

/** All before the event is delivered and confirmed, nothing behind it; with a template that fits, the rest follows. */
async function refuseName(scene: Scene, name: string | null, code: string): Promise<void> {
  const daemon = await scene.startStreaming();
  const length = await scene.outbox.redis.xlen(scene.outbox.stream());
  await scene.outbox.insert();
  const id = await insertNamed(scene, name);
  await scene.outbox.insert();
  // The streams of earlier rounds hold what was meant for others.
  await scene.expectHalt(daemon, [code], { entries: 'any' });
  const now = await scene.outbox.redis.xlen(scene.outbox.stream());
  if (now !== length + 1) throw new Error(`${now - length} events passed, not one`);
  // Logs are for people's terminals.
  if (daemon.stderr.includes('\u001b')) throw new Error('an escape sequence stands in the log');
  // The way on: everything to one stream, and what could not pass is seen there.
  const mended = await scene.startStreaming({ WALRELAY_STREAM: scene.outbox.stream('mended') });
  await scene.outbox.waitUntilConfirmed();
  const entries = (await readEntries(scene.outbox.redis, scene.outbox.name)).get(
    scene.outbox.stream('mended'),
  );
  if (entries?.some((entry) => entry.id === id) !== true) throw new Error('the event did not follow');
  await mended.stop();
}

async function insertNamed(scene: Scene, name: string | null): Promise<string> {
  const [row] = await scene.outbox.query<{ id: string }>(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ($1, '1', 't', '{}') RETURNING id",
    [name],
  );
  return row?.id ?? '';
}
