import { expect } from 'vitest';
import { configFile, entriesOf, MIXED_YAML, runEmitSql } from '../../support/message-outbox.ts';
import { PRESET_CASES, relayedByPreset } from '../../support/preset-cases.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';

export const messages: Check = {
  id: 'messages',
  what: 'logical messages and rows in one relay stand once and in order, across kill -9; what came without a transaction is none',
  async run(context, servers) {
    const env = configFile(MIXED_YAML);
    const outbox = await openOutbox(context, servers, { isInitialized: false, env });
    await runEmitSql(outbox);
    await outbox.init('--create-table');
    const ids: string[] = [];
    /** A row between two messages, and what must not arrive. */
    const write = async () => {
      const client = await outbox.pool.connect();
      try {
        await client.query('BEGIN');
        for (const statement of [EMIT, INSERT, EMIT]) {
          const { rows } = await client.query<{ id: string }>(statement);
          ids.push(rows[0]?.id ?? '');
        }
        await client.query('SAVEPOINT s');
        await client.query(EMIT);
        await client.query('ROLLBACK TO s');
        await client.query("SELECT pg_logical_emit_message(false, 'outbox', 'no event')");
        await client.query("SELECT pg_logical_emit_message(true, 'other', 'no event')");
        await client.query('COMMIT');
      } finally {
        client.release();
      }
    };
    const first = outbox.start();
    await first.streaming();
    for (let turn = 0; turn < 20; turn += 1) await write();
    await outbox.waitForLength(outbox.stream(), 1);
    const kill = context.fault('kill -9 of the relay', { isKill: true });
    await first.kill();
    kill.over();
    const second = outbox.start();
    await write();
    await outbox.waitUntilConfirmed();
    expect((await entriesOf(outbox)).map(({ id }) => id)).toEqual(ids);
    await waitFor('the refusal of messages without a transaction', async () =>
      second.stderr.includes('MESSAGE_NOT_TRANSACTIONAL'),
    );
    expect((await second.stop()).exitCode).toBe(0);
  },
};

/** Of tables with quoted names, with a schema of its own, and the best known one. */
const PRESETS = ['debezium', 'masstransit', 'cap'];

export const presets: Check = {
  id: 'presets',
  what: 'init --detect knows the tables of Debezium, MassTransit and CAP, and the file that it writes relays their rows',
  async run(context, servers) {
    for (const each of PRESET_CASES.filter(({ preset }) => PRESETS.includes(preset))) {
      const outbox = await openOutbox(context, servers, {
        isInitialized: false,
        env: { WALRELAY_STREAM: '' },
      });
      expect(await relayedByPreset(outbox, each)).toEqual(each.entry);
    }
  },
};

const EMIT = `SELECT outbox.emit('order', '1', 'created', '{"n": 1}') AS id`;
const INSERT = `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
  VALUES (gen_random_uuid(), 'order', '1', 'created', '{"n": 1}') RETURNING id`;
