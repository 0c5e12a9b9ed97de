import { Client } from 'pg';
import { findPostgresBinaries } from '../../../dev/servers/postgres-binaries.ts';
import { serverUser } from '../../../dev/servers/server-user.ts';
import {
  readMetric,
  sessionErrors,
  unlessExited,
  waitForEvents,
  waitForRelay,
} from '../../support/chaos-links.ts';
import type { Daemon, LogLine } from '../../support/cli.ts';
import { waitFor } from '../../support/wait-for.ts';
import { OnceCheck } from '../once-check.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

/** Little WAL may be kept for a slot, and a checkpoint comes only when the row asks for it. */
const SMALL = {
  max_slot_wal_keep_size: '16MB',
  wal_keep_size: '0',
  min_wal_size: '32MB',
  max_wal_size: '1GB',
  checkpoint_timeout: '1h',
};

const WATCHFUL = { WALRELAY_WAL_LOOK_INTERVAL_MS: '200' };

export const rows: readonly Row[] = [
  {
    id: 'P11',
    fault: 'the slot needs more WAL than max_slot_wal_keep_size allows, and is invalidated',
    must: 'HALT',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres({ settings: SMALL });
      const scene = await context.openScene({ postgres, env: WATCHFUL });
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigEvery: 0 });
      await waitForEvents(daemon, 200);
      const once = await OnceCheck.begin(scene, context.tally);
      const safeBefore = await waitForRelay(daemon, 'safe bytes', () =>
        readMetric(daemon, 'walrelay_slot_safe_bytes'),
      );

      // A transaction that stays open holds the slot's restart position while everything is confirmed.
      const long = new Client({ connectionString: scene.outbox.databaseUrl });
      long.on('error', () => undefined);
      await long.connect();
      context.defer(async () => await long.end().catch(() => undefined));
      await long.query('BEGIN');
      await long.query('CREATE TABLE held (n int)');
      const fault = context.fault('a transaction stays open while WAL is written');
      await unlessExited(daemon, switchWalUntil(scene, "wal_status = 'unreserved'"));
      await expectWalWarning(daemon);
      const safe = await readMetric(daemon, 'walrelay_slot_safe_bytes');
      context.note(`warned at ${safe} safe bytes, ${safeBefore} before`);
      if (safe >= safeBefore) throw new Error(`safe bytes were ${safeBefore} and are ${safe}`);
      await daemon.stop();
      await scene.outbox.insert();
      await switchWalUntil(scene, "wal_status = 'lost'", { withCheckpoints: true });
      fault.over();
      // The oracle's slot is older, and lost as well.
      await scene.expectHalt(scene.start(), ['SLOT_LOST'], { entries: 'any' });
      await once.end();
    },
  },
  {
    id: 'P12',
    fault: 'the slot is invalidated while the relay streams, its reading paused by a stuck Redis',
    must: 'HALT',
    runs: 2,
    async run(context) {
      const [postgres, redis] = await Promise.all([
        context.startPostgres({ settings: SMALL }),
        context.startRedis(),
      ]);
      const scene = await context.openScene({
        postgres,
        redis,
        env: {
          ...WATCHFUL,
          WALRELAY_MEMORY_BUDGET_BYTES: '4MiB',
          WALRELAY_EVENT_BYTES_MAX: '1MiB',
          WALRELAY_REDIS_TIMEOUT_MS: '60000',
        },
      });
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigEvery: 0 });
      await waitForEvents(daemon, 200);
      const once = await OnceCheck.begin(scene, context.tally);

      redis.pause();
      const fault = context.fault('Redis stands still');
      await waitForRelay(daemon, 'reading to be paused', async () => {
        await scene.outbox.query(
          `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
           SELECT 'held', n::text, 'created', to_jsonb(repeat('x', 10000)) FROM generate_series(1, 100) n`,
        );
        return (await readMetric(daemon, 'walrelay_paused')) === 1;
      });
      await unlessExited(daemon, switchWalUntil(scene, "wal_status = 'unreserved'"));
      // Redis says nothing all the while: the WAL is watched whatever the session does.
      await expectWalWarning(daemon);
      await switchWalUntil(scene, "wal_status = 'lost'", { withCheckpoints: true });
      redis.resume();
      fault.over();
      await scene.expectHalt(daemon, ['SLOT_LOST'], { entries: 'any' });
      context.note(`sessions ended with ${sessionErrors(daemon).join(', ')}`);
      await once.end();
    },
  },
  {
    id: 'P13',
    fault: 'idle_replication_slot_timeout invalidates the slot of a relay that is down',
    must: ['WARN', 'HALT'],
    runs: 2,
    impossible: () =>
      findPostgresBinaries(serverUser(), 18) === undefined ? 'needs PostgreSQL 18, which is not here' : null,
    async run(context) {
      const postgres = await context.startPostgres({ majorVersion: 18 });
      const scene = await context.openScene({ postgres });
      await scene.outbox.query("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'");
      await scene.outbox.query('SELECT pg_reload_conf()');
      const daemon = await scene.startStreaming();
      const warning = daemon.log.find(({ msg }) => msg.startsWith('idle_replication_slot_timeout = 1 s'));
      if (warning?.level !== 'warn') throw new Error('nothing warns of idle_replication_slot_timeout');
      scene.startWorkload({ bigEvery: 0 });
      await waitForEvents(daemon, 100);
      const once = await OnceCheck.begin(scene, context.tally);
      await daemon.stop();
      await scene.outbox.insert();
      const fault = context.fault('a checkpoint after a second of idleness');
      await waitFor('the slot to be lost', async () => {
        await scene.outbox.query('CHECKPOINT');
        return await hasSlot(scene, "invalidation_reason = 'idle_timeout'");
      });
      fault.over();
      await scene.expectHalt(scene.start(), ['SLOT_LOST'], { entries: 'any' });
      await once.end();
    },
  },
];

async function expectWalWarning(daemon: Daemon): Promise<void> {
  const isWarning = ({ msg, level }: LogLine): boolean =>
    msg.startsWith('wal budget: ') && (level === 'warn' || level === 'error');
  await waitForRelay(daemon, 'a warning of the WAL that is kept', () => daemon.log.some(isWarning));
}

async function hasSlot(scene: Scene, condition: string): Promise<boolean> {
  const slots = await scene.outbox.query(
    `SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND ${condition}`,
    [scene.outbox.name],
  );
  return slots.length > 0;
}

async function switchWalUntil(
  scene: Scene,
  condition: string,
  { withCheckpoints = false }: { readonly withCheckpoints?: boolean } = {},
): Promise<void> {
  await waitFor(
    `a slot with ${condition}`,
    async () => {
      if (await hasSlot(scene, condition)) return true;
      // A switch without a record before it does nothing.
      await scene.outbox.query("SELECT pg_logical_emit_message(false, 'walrelay chaos', 'x')");
      await scene.outbox.query('SELECT pg_switch_wal()');
      if (withCheckpoints) await scene.outbox.query('CHECKPOINT');
      return false;
    },
    60_000,
  );
}
