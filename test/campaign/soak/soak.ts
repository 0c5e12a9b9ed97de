import type { Env } from '../../support/cli.ts';
import { compareStreams } from '../../support/compare-streams.ts';
import { expectFlawless, expectFloorNoted, readEntries } from '../../support/exactness.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';
import { countExactness } from '../tally.ts';
import { SOAK_FAULTS, type SoakFault, type SoakGround } from './soak-faults.ts';
import { SoakRelays } from './soak-relays.ts';

/** What a soak has counted, as it goes on. */
export class SoakReport {
  readonly counts = new Map<string, number>();
  readonly recoveriesMs = new Map<string, number[]>();
  checks = 0;

  count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  recovered(klass: string, ms: number): void {
    this.recoveriesMs.set(klass, [...(this.recoveriesMs.get(klass) ?? []), ms]);
  }
}

/** Quick to see that nobody answers, so that each fault is noticed and not only waited for. */
const ENV: Env = {
  WALRELAY_REPLAY_WINDOW_MS: '5000',
  WALRELAY_STATUS_INTERVAL_MS: '500',
  WALRELAY_SERVER_SILENCE_MS: '2000',
  WALRELAY_REDIS_TIMEOUT_MS: '1500',
  WALRELAY_START_TIMEOUT_MS: '0',
};
const CHECK_INTERVAL_MS = 120_000;
const RECOVERY_LIMIT_MS = 180_000;
/** How often a second fault of another class strikes at the same time. */
const SECOND_SHARE = 0.25;

/** Random faults every 1 to 10 seconds under load, with a check of everything at quiet points and at the end. */
export function soakRow(minutes: number, report: SoakReport): Row {
  return {
    id: 'soak',
    fault: `random faults for ${minutes} minutes, under load`,
    must: 'OK',
    runs: 1,
    limitSeconds: minutes * 60 + 900,
    run: async (context) => await soak(context, minutes, report),
  };
}

async function soak(context: RowContext, minutes: number, report: SoakReport): Promise<void> {
  const { random } = context;
  const [postgres, redis] = await Promise.all([
    context.startPostgres({ settings: { wal_sender_timeout: '2s' } }),
    context.startRedis(),
  ]);
  const scene = await context.openScene({ postgres, redis });
  const relays = new SoakRelays(scene, ENV);
  await relays.tend(1);
  await scene.deliverCanary();
  const ground: SoakGround = { scene, postgres, redis, relays, random };
  const endsAtMs = performance.now() + minutes * 60_000;
  while (performance.now() < endsAtMs) {
    scene.startWorkload({ bigEvery: 400 });
    const checkAtMs = Math.min(endsAtMs, performance.now() + CHECK_INTERVAL_MS);
    while (performance.now() < checkAtMs) {
      const nextAtMs = performance.now() + random.int(1000, 10_000);
      await strike(context, ground, report);
      await pause(nextAtMs - performance.now());
    }
    await check(context, ground, report);
  }
  await relays.tend(1);
  await relays.stop();
}

async function strike(context: RowContext, ground: SoakGround, report: SoakReport): Promise<void> {
  const { random, scene, relays } = ground;
  const chosen: SoakFault[] = [random.pick(SOAK_FAULTS)];
  if (random.next() < SECOND_SHARE) {
    const others = SOAK_FAULTS.filter(({ klass }) => klass !== chosen[0]?.klass);
    chosen.push(random.pick(others));
  }
  const faults = chosen.map(({ name, isKill }) => {
    report.count(name);
    return context.fault(name, { isKill: isKill === true });
  });
  await Promise.all(
    chosen.map(async (fault, index) => {
      await struck(fault, ground);
      faults[index]?.over();
    }),
  );
  const last = faults.reduce((a, b) => (a.overAtMs > b.overAtMs ? a : b));
  await relays.tend(random.next() < 0.3 ? 2 : 1);
  await scene.deliverCanary(RECOVERY_LIMIT_MS);
  const klass = chosen.length === 1 ? (chosen[0] as SoakFault).klass : 'two at once';
  report.recovered(klass, context.recovered(last));
}

/** A server that another fault has taken away may refuse what this one asks of it: then it has not struck. */
async function struck(fault: SoakFault, ground: SoakGround): Promise<void> {
  try {
    await fault.strike(ground);
  } catch (error) {
    if (!isConnectionTrouble(error)) throw error;
  }
}

function isConnectionTrouble(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return (
    /^(ECONN|EPIPE|57P|08)/.test(code) ||
    (error instanceof Error && /Connection terminated|Connection is closed|starting up/.test(error.message))
  );
}

/** At a quiet point: what was committed since the last one stands in the streams, which are then trimmed. */
async function check(context: RowContext, ground: SoakGround, report: SoakReport): Promise<void> {
  const { scene, relays } = ground;
  await scene.stopWorkloads();
  context.note('a quiet point: checking');
  await relays.tend(1);
  await scene.outbox.waitUntilConfirmed(RECOVERY_LIMIT_MS);
  const exactness = compareStreams(
    await scene.oracle.take(),
    await readEntries(scene.outbox.redis, scene.outbox.name),
  );
  countExactness(context.tally, exactness);
  expectFlawless(exactness);
  await expectFloorNoted(scene.outbox);
  await trim(scene);
  report.checks += 1;
  const { faults, kills, events } = context.tally;
  context.milestone(
    `check ${report.checks}: exact; ${events.toLocaleString('en')} events, ${faults} faults, ${kills} kills so far`,
  );
}

/** Memory stays bounded, and an entry that came twice across checks would be one that nobody has committed since. */
async function trim({ outbox }: Scene): Promise<void> {
  for (const stream of await outbox.redis.keys(`${outbox.name}.*`))
    await outbox.redis.xtrim(stream, 'MAXLEN', 0);
  await outbox.query('DELETE FROM outbox');
}

async function pause(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
