import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { isLong, Links, unlessExited } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import {
  countRows,
  EAGER,
  expectConfirmedBefore,
  noteDeletes,
  waitForRows,
} from '../support/cleaned-outbox.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import { Outbox } from '../support/outbox.ts';
import { dropSlot, readAllEntries, recovered } from '../support/recovered.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

let postgres: PostgresServer;
let redis: RedisServer;

beforeAll(async () => {
  postgres = await startPostgres();
  redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
});
afterAll(async () => {
  await redis.dispose();
  await postgres.dispose();
});

const ROUNDS = isLong ? 100 : 10;
const createOutbox = () => Outbox.create({ databaseUrl: postgres.url, redisUrl: redis.url, env: EAGER });

/** The slot's horizon moves at each; ends with dispose. */
class Checkpoints implements AsyncDisposable {
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(outbox: Outbox) {
    this.#ended = this.#run(outbox);
  }

  async #run(outbox: Outbox): Promise<void> {
    while (!this.#isOver) {
      await outbox.query('CHECKPOINT');
      await sleep(100);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }
}

test('under load, while relays are killed and Redis does not answer, no row goes that is not confirmed', async () => {
  const seed = chaosSeed('clean-up');
  const random = new Random(seed);
  await using outbox = await createOutbox();
  await noteDeletes(outbox);
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const env = { ...links.env, WALRELAY_REDIS_TIMEOUT_MS: '1000' };
  let daemon = outbox.start(env);
  await daemon.streaming();
  {
    await using _checkpoints = new Checkpoints(outbox);
    await using _workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed,
      writers: 3,
      bigEvery: 50,
      bigRows: 500,
      payloadBytesMax: 2000,
    });
    for (let round = 0; round < ROUNDS; round += 1) {
      // Not before something was deleted since the last round.
      const before = await countRows(outbox, 'deleted');
      await unlessExited(
        daemon,
        waitFor('a row to be deleted', async () => (await countRows(outbox, 'deleted')) > before, 60_000),
      );
      const draw = random.next();
      if (draw < 0.4) {
        await daemon.kill();
        daemon = outbox.start(env);
      } else if (draw < 0.6) {
        links.resetAll();
      } else {
        links.redis.blackHole(true);
        await sleep(random.int(500, 2000));
        links.redis.blackHole(false);
        links.redis.resetAll();
      }
    }
  }
  await unlessExited(daemon, outbox.waitUntilConfirmed(120_000));
  const left = await waitForRows(outbox, (count) => count <= 50, { timeoutMs: 60_000 });
  const deleted = await expectConfirmedBefore(outbox, oracle);
  const events = await expectExact(outbox, oracle);
  console.log(
    `clean-up under load: ${events} events, ${deleted} rows deleted, ${left} left, none before it was confirmed`,
  );
  expect(deleted).toBeGreaterThan(100);
  expect(deleted + left).toBe(events);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('a slot that is lost beside a clean-up without retention is recovered: every event stands once', async () => {
  const seed = chaosSeed('clean-up and recover');
  await using outbox = await createOutbox();
  await noteDeletes(outbox);
  const oracle = await Oracle.create(outbox);
  let published = 0;
  {
    await using _checkpoints = new Checkpoints(outbox);
    await using workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed,
      writers: 3,
      bigEvery: 50,
      bigRows: 500,
      payloadBytesMax: 2000,
    });
    for (let round = 0; round < 3; round += 1) {
      const daemon = outbox.start();
      const before = await countRows(outbox, 'deleted');
      await unlessExited(
        daemon,
        waitFor('rows to be deleted', async () => (await countRows(outbox, 'deleted')) > before + 50, 60_000),
      );
      await daemon.kill();
      const transactions = workload.transactionCount;
      await waitFor('events that no relay sees', () => workload.transactionCount > transactions + 20);
      await waitFor('the slot to be free', async () => {
        const active = await outbox.query(
          'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active',
          [outbox.name],
        );
        return active.length === 0;
      });
      await dropSlot(outbox);
      published += (await recovered(outbox, ['--since', '-infinity'])).published;
    }
  }
  const daemon = outbox.start();
  await unlessExited(daemon, outbox.waitUntilConfirmed(60_000));
  await daemon.stop();
  const committed = (await oracle.read()).map(({ id }) => id).sort();
  const standing = (await readAllEntries(outbox)).map(({ fields }) => fields['id'] ?? '').sort();
  expect(published).toBeGreaterThan(0);
  expect(standing).toEqual(committed);
});
