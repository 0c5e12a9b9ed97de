import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { runCli } from './cli.ts';
import { entryFields } from './entry-fields.ts';
import type { Outbox } from './outbox.ts';

/** The tables of products as they make them: what init --detect says of them, and what becomes of a row that they insert. */

type Fields = Record<string, string>;

export interface PresetCase {
  readonly preset: string;
  /** As the product inserts it. */
  readonly insert: string;
  readonly clear: string;
  readonly stream: string;
  readonly entry: Fields;
  /** What the product does to its rows later on: no events. */
  readonly afterwards: string;
}

export const PRESET_CASES: readonly PresetCase[] = [
  {
    preset: 'debezium',
    clear: 'DELETE FROM outbox',
    insert: `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
      VALUES ('59a42efd-b015-44a9-9dde-cb36d9002425', 'preset-user', '10711', 'UserCreated', '{"fullName": "A", "email": "a@b.c"}')`,
    stream: 'outbox.event.preset-user',
    entry: {
      id: '59a42efd-b015-44a9-9dde-cb36d9002425',
      type: 'UserCreated',
      aggregate_type: 'preset-user',
      aggregate_id: '10711',
      payload: '{"email": "a@b.c", "fullName": "A"}',
    },
    afterwards: 'DELETE FROM outbox',
  },
  {
    preset: 'pg-transactional-outbox',
    clear: 'DELETE FROM public.outbox',
    insert: `INSERT INTO public.outbox (id, aggregate_type, aggregate_id, message_type, segment, payload, metadata)
      VALUES ('0b0b0b0b-0000-4000-8000-000000000001', 'preset-movie', 'M-1', 'movie_created', 's1', '{"id": 1}', '{"routingKey": "m"}')
      ON CONFLICT (id) DO NOTHING`,
    stream: 'outbox.preset-movie',
    entry: {
      id: '0b0b0b0b-0000-4000-8000-000000000001',
      type: 'movie_created',
      aggregate_type: 'preset-movie',
      aggregate_id: 'M-1',
      payload: '{"id": 1}',
      segment: 's1',
      concurrency: 'sequential',
      metadata: '{"routingKey": "m"}',
    },
    afterwards:
      'UPDATE public.outbox SET started_attempts = 1, finished_attempts = 1, processed_at = clock_timestamp()',
  },
  {
    preset: 'masstransit',
    clear: 'DELETE FROM "OutboxMessage"; DELETE FROM "OutboxState"',
    insert: `BEGIN;
      INSERT INTO "OutboxState" ("OutboxId", "LockId", "Created") VALUES
        ('0c0c0c0c-0000-4000-8000-000000000001', '00000000-0000-0000-0000-000000000000', now());
      INSERT INTO "OutboxMessage" ("EnqueueTime", "SentTime", "Headers", "Properties", "OutboxId", "MessageId", "ContentType",
        "MessageType", "Body", "ConversationId", "SourceAddress", "DestinationAddress")
      VALUES (NULL, '2026-11-21 08:00:00.123456+00', '{}', '{"RK": "a"}', '0c0c0c0c-0000-4000-8000-000000000001',
        '0d0d0d0d-0000-4000-8000-000000000001', 'application/vnd.masstransit+json',
        'urn:message:Sample:Submitted;urn:message:Sample:IEvent', '{"messageId":"0d0d0d0d","message":{"n":1}}',
        '0e0e0e0e-0000-4000-8000-000000000001', 'rabbitmq://localhost/api', 'rabbitmq://localhost/Sample:Submitted?durable=true');
      COMMIT`,
    stream: 'outbox.masstransit',
    entry: {
      id: '0d0d0d0d-0000-4000-8000-000000000001',
      type: 'urn:message:Sample:Submitted;urn:message:Sample:IEvent',
      payload: '{"messageId":"0d0d0d0d","message":{"n":1}}',
      content_type: 'application/vnd.masstransit+json',
      headers: '{}',
      properties: '{"RK": "a"}',
      conversation_id: '0e0e0e0e-0000-4000-8000-000000000001',
      source_address: 'rabbitmq://localhost/api',
      destination_address: 'rabbitmq://localhost/Sample:Submitted?durable=true',
      sent_time: '2026-11-21 08:00:00.123456+00',
    },
    afterwards: 'DELETE FROM "OutboxMessage"; DELETE FROM "OutboxState"',
  },
  {
    preset: 'cap',
    clear: 'DELETE FROM "cap"."published"',
    insert: `INSERT INTO "cap"."published" ("Id","Version","Name","Content","Retries","Added","ExpiresAt","StatusName")
      VALUES (7160216394981957633, 'v1', 'preset.orders.placed',
        '{"Headers":{"cap-callback-name":null,"cap-msg-id":"7160216394981957633","cap-msg-name":"preset.orders.placed"},"Value":{"Total":12.50}}',
        0, '2026-11-21 09:00:00', NULL, 'Scheduled')`,
    stream: 'outbox.preset.orders.placed',
    entry: {
      id: '7160216394981957633',
      type: 'preset.orders.placed',
      payload:
        '{"Headers":{"cap-callback-name":null,"cap-msg-id":"7160216394981957633","cap-msg-name":"preset.orders.placed"},"Value":{"Total":12.50}}',
      version: 'v1',
    },
    afterwards: `UPDATE "cap"."published" SET "StatusName" = 'Succeeded', "ExpiresAt" = now() + interval '1 day'`,
  },
  {
    preset: 'eventuate-tram',
    clear: 'DELETE FROM eventuate.message',
    insert: `insert into eventuate.message(id, destination, headers, payload, creation_time, published, message_partition) values
      ('0000018f-1', 'preset.net.Order', '{"ID":"0000018f-1","PARTITION_ID":"1","event-type":"Created"}', '{"total":1}',
        (ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000))::bigint, 0, NULL)`,
    stream: 'outbox.preset.net.Order',
    entry: {
      id: '0000018f-1',
      payload: '{"total":1}',
      destination: 'preset.net.Order',
      headers: '{"ID":"0000018f-1","PARTITION_ID":"1","event-type":"Created"}',
    },
    afterwards: `UPDATE eventuate.message SET published = 1;
      insert into eventuate.message(id, destination, headers, payload, creation_time, published, message_partition)
        values ('0000018f-2', 'preset.net.Order', '{}', '{}', 1, 1, NULL)`,
  },
  {
    preset: 'eventuate-tram-dbid',
    clear: 'DELETE FROM eventuate.message',
    insert: `insert into eventuate.message(id, destination, headers, payload, creation_time, published, message_partition)
      values ('', 'preset.net.Order', '{"PARTITION_ID":"1"}', '{"total":1}', 1, 0, 3)`,
    stream: 'outbox.preset.net.Order',
    entry: {
      id: '2',
      payload: '{"total":1}',
      destination: 'preset.net.Order',
      headers: '{"PARTITION_ID":"1"}',
      message_partition: '3',
    },
    afterwards: 'UPDATE eventuate.message SET published = 1',
  },
  {
    preset: 'rails',
    clear: 'DELETE FROM outbox_events',
    insert: `INSERT INTO "outbox_events" ("aggregate_type", "aggregate_id", "event_type", "payload", "metadata", "occurred_at", "created_at")
      VALUES ('Preset::StockItem', 7, 'stock.receipt', '{"quantity": 3}', '{"trace_id": "t"}', now() AT TIME ZONE 'utc', now() AT TIME ZONE 'utc')`,
    stream: 'outbox.Preset::StockItem',
    entry: {
      id: '2',
      type: 'stock.receipt',
      aggregate_type: 'Preset::StockItem',
      aggregate_id: '7',
      payload: '{"quantity": 3}',
      metadata: '{"trace_id": "t"}',
      event_version: '1',
    },
    afterwards: 'UPDATE outbox_events SET published_at = now()',
  },
  {
    preset: 'outbox-processed-at',
    clear: 'DELETE FROM outbox',
    insert: `INSERT INTO outbox (aggregate_id, event_type, payload)
      VALUES ('0f0f0f0f-0000-4000-8000-000000000001', 'order.placed', '{"a":1}')`,
    stream: 'outbox.events',
    entry: {
      id: '2',
      type: 'order.placed',
      aggregate_id: '0f0f0f0f-0000-4000-8000-000000000001',
      payload: '{"a":1}',
    },
    afterwards: 'UPDATE outbox SET processed_at = now()',
  },
  {
    preset: 'outbox-status',
    clear: 'DELETE FROM outbox_events',
    insert: `INSERT INTO outbox_events (payload) VALUES ('{"a": 1}')`,
    stream: 'outbox.events',
    entry: { id: '2', payload: '{"a": 1}' },
    afterwards: `UPDATE outbox_events SET status = 'sent'`,
  },
];

/** The product's tables, as it makes them. */
export async function runFixture(outbox: Outbox, preset: string): Promise<void> {
  await outbox.query(readFileSync(new URL(`../fixtures/presets/${preset}.sql`, import.meta.url), 'utf8'));
}

/**
 * In an empty database, with a relay that is told no stream: streams are what the preset calls them. Returns the entry that
 * became of a row, without what the WAL says of it.
 */
export async function relayedByPreset(
  outbox: Outbox,
  { preset, insert, clear, stream, entry, afterwards }: PresetCase,
): Promise<Fields> {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-preset-')), 'walrelay.yaml');
  await runFixture(outbox, preset);
  await outbox.query(insert);

  const { REDIS_URL: _, ...env } = outbox.env;
  const detected = await runCli(['init', '--detect', '--json', '--output', path], env);
  expect(detected).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(`Written to ${path}`) });
  const { candidates } = JSON.parse(detected.stdout) as {
    candidates: { preset: string; obstacle: null; sample: { entry: { stream: string; fields: Fields } } }[];
  };
  expect(candidates[0]).toMatchObject({ preset, obstacle: null, sample: { madeUpBecause: null } });
  const { id: _1, ...shown } = candidates[0]!.sample.entry.fields;
  const { id: _2, ...expected } = entry;
  const isFixed = ([name]: [string, string]) => expected[name] !== undefined;
  expect(candidates[0]!.sample.entry.stream).toBe(stream);
  expect(Object.fromEntries(Object.entries(shown).filter(isFixed))).toMatchObject(
    Object.fromEntries(Object.entries(expected).map(([name, value]) => [name, shortened(value)])),
  );

  // So that it can be inserted once more: what was there before is no event.
  await outbox.query(clear);
  const withFile = { ...outbox.env, WALRELAY_CONFIG: path };
  expect(await runCli(['init'], withFile)).toMatchObject({ exitCode: 0, stderr: '' });
  await outbox.start(withFile).streaming();
  await outbox.query(insert);
  const [relayed] = await fieldsOf(outbox, stream, 1);
  const { lsn, seq, committed_at, ...fields } = relayed!;
  expect([lsn, seq, committed_at].every((fact) => fact !== undefined)).toBe(true);
  await outbox.query(afterwards);
  await outbox.waitUntilConfirmed();
  expect(await outbox.redis.xlen(stream)).toBe(1);
  await outbox.redis.del(stream);
  return fields;
}

export async function fieldsOf(outbox: Outbox, stream: string, count: number): Promise<Fields[]> {
  await outbox.waitForLength(stream, count);
  return entryFields(outbox, stream);
}

function shortened(value: string): string {
  return value.length <= 120 ? value : `${value.slice(0, 120)}… (${value.length} characters)`;
}
