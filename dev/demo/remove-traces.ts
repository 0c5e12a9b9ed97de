import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { namesKey } from '../../src/core/own-keys.ts';
import { quoteIdentifier } from '../../src/source/sql.ts';
import { type DemoPlace, streamNames } from './demo-place.ts';

const SLOT_RELEASE_TIMEOUT_MS = 10_000;
const POLL_MS = 100;

/**
 * Takes everything of a demo off servers that stay: a slot that nobody reads would make Postgres keep its WAL for
 * ever. Safe to repeat.
 */
export async function removeTraces(place: DemoPlace): Promise<void> {
  if (place.name === null) throw new Error('only a named demo leaves something to remove');
  await removeFromPostgres(place);
  await removeFromRedis(place);
}

async function removeFromPostgres(place: DemoPlace): Promise<void> {
  const client = new Client({ connectionString: place.databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await dropSlot(client, place.slot);
    await client.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(place.publication)}`);
    await client.query('SET client_min_messages = warning');
    await client.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(place.schema)} CASCADE`);
  } finally {
    await client.end();
  }
}

/** The walsender of a relay that was killed a moment ago may still hold the slot. */
async function dropSlot(client: Client, slot: string): Promise<void> {
  const deadline = Date.now() + SLOT_RELEASE_TIMEOUT_MS;
  for (;;) {
    const { rows } = await client.query<{ active: boolean }>(
      'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
      [slot],
    );
    const [found] = rows;
    if (found === undefined) return;
    if (!found.active) {
      await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
      return;
    }
    if (Date.now() > deadline) throw new Error(`the slot ${slot} is still in use; drop it by hand`);
    await sleep(POLL_MS);
  }
}

async function removeFromRedis(place: DemoPlace): Promise<void> {
  const redis = new Redis(place.redisUrl, { lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => undefined);
  await redis.connect();
  try {
    await redis.del(...streamNames(place), place.metaKey, namesKey(place.metaKey));
  } finally {
    redis.disconnect();
  }
}
