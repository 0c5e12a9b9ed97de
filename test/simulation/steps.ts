import { formatLsn } from '../../src/core/lsn.ts';
import type { Draws } from './draws.ts';
import type { Profile } from './profile.ts';
import type { World } from './world.ts';

/** One thing that a schedule can let happen. Tells in few words what did; null when there was nothing to do. */
export interface StepKind {
  readonly name: string;
  readonly weight: number;
  readonly isFault: boolean;
  act(world: World, draws: Draws, profile: Profile): Promise<string | null> | string | null;
}

/** What always happens, sooner or later: the tamest first. */
export function goOn(world: World): Promise<boolean> | boolean {
  const first = world.nextDelivery;
  if (first !== undefined) return whenDone(world.deliver(first.link, first.isToServer));
  const [walsender] = world.sendable;
  if (walsender !== undefined) {
    const sent = walsender.stream(100, 0);
    world.note(`${walsender.link.name} walsender sends ${sent}`);
    return true;
  }
  const waitedFor = world.nodes.find(({ isWaitedFor, isDiskStuck }) => isWaitedFor && !isDiskStuck);
  if (waitedFor !== undefined) {
    waitedFor.sync();
    world.note(`${waitedFor.name} has everything on its disk and replicas`);
    return true;
  }
  if (world.postgres.phase === 'stopping') {
    world.note(`Postgres ${world.postgres.checkStopped()}`);
    if (world.postgres.phase !== 'stopping') return true;
    if (world.deliverable.length > 0) return true;
  }
  const timer = world.nextTimer();
  if (timer === null) return false;
  // Not timer by timer: what waits for an answer would only look at its watch in between.
  return whenDone(world.passTime(Math.max(timer.dueMs, world.nowMs + 200)));
}

function whenDone(done: Promise<void> | undefined): Promise<boolean> | boolean {
  return done === undefined ? true : done.then(() => true);
}

/** Until a relay streams, if that is not too long. */
export async function letStream(world: World): Promise<void> {
  for (let left = STEPS_UNTIL_STREAMING_MAX; left > 0 && !world.isStreaming; left -= 1) {
    if (!(await goOn(world))) break;
  }
}

/** The life of the servers and of the network when nothing fails. */
export const ORDINARY_STEPS: readonly StepKind[] = [
  {
    name: 'deliver',
    weight: 40,
    isFault: false,
    act: async (world, draws) => {
      const found = world.deliverable;
      if (found.length === 0) return null;
      const { link, isToServer } = draws.pick(found);
      await world.deliver(link, isToServer);
      return '';
    },
  },
  {
    name: 'run on',
    weight: 6,
    isFault: false,
    // A stretch without anything odd: most of what goes wrong needs a relay that streams.
    act: async (world, draws) => {
      for (let left = draws.between(2, 30); left > 0; left -= 1) await goOn(world);
      return '';
    },
  },
  {
    name: 'until it streams',
    weight: 8,
    isFault: false,
    // Much has to arrive before a relay streams again, and as long as none does, little can go wrong.
    act: async (world) => {
      if (world.isStreaming) return null;
      await letStream(world);
      return '';
    },
  },
  {
    name: 'stream',
    weight: 12,
    isFault: false,
    act: (world, draws) => {
      const found = world.sendable;
      if (found.length === 0) return null;
      const walsender = draws.pick(found);
      const frames = draws.once(3) ? 100 : draws.between(1, 6);
      const sent = walsender.stream(frames, draws.once(5) ? draws.between(1, 20) : 0);
      return `${walsender.link.name} walsender sends ${sent}`;
    },
  },
  {
    name: 'commit',
    weight: 9,
    isFault: false,
    act: (world, draws, profile) => {
      if (!canCommit(world)) return null;
      if (draws.once(3)) world.note(commitSome(world, draws, profile));
      return commitSome(world, draws, profile);
    },
  },
  {
    name: 'time',
    weight: 12,
    isFault: false,
    act: async (world, draws) => {
      const stretch = draws.pick(STRETCHES_MS);
      if (stretch === 0) {
        const timer = world.nextTimer();
        if (timer === null) return null;
        await world.fire(timer);
        return '';
      }
      await world.passTime(world.nowMs + stretch);
      return `${stretch} ms pass`;
    },
  },
  {
    name: 'keepalive',
    weight: 4,
    isFault: false,
    act: (world, draws) => {
      const { postgres } = world;
      const walsenders = [...postgres.walsenders.values()].filter(({ link }) => link.toClient.length < 5);
      if (walsenders.length === 0) return null;
      const walsender = draws.pick(walsenders);
      const walEndLsn = draws.pick(walsender.keepaliveChoices());
      walsender.keepalive(walEndLsn, draws.once(3));
      return `${walsender.link.name} walsender sends a keepalive, walEnd ${formatLsn(walEndLsn)}${walsender.isInTransaction ? ' inside a transaction' : ''}`;
    },
  },
  {
    name: 'other WAL',
    weight: 1,
    isFault: false,
    act: (world, draws) => {
      if (world.postgres.phase !== 'up') return null;
      world.postgres.wal.grow(draws.between(8, 64) * 8);
      return 'other tables write';
    },
  },
  {
    name: 'redis syncs',
    weight: 4,
    isFault: false,
    act: (world, draws) => {
      const node = draws.pick(
        world.nodes.filter(
          ({ safeCount, writes, isUp, isDiskStuck }) => isUp && !isDiskStuck && safeCount < writes,
        ),
      );
      if (node === undefined) return null;
      node.sync();
      return `${node.name} has everything on its disk and replicas`;
    },
  },
  {
    name: 'start a relay',
    weight: 3,
    isFault: false,
    act: async (world, draws, profile) => {
      if (world.living.length >= profile.relays) return null;
      await world.startProcess(draws.once(6));
      return '';
    },
  },
];

export function canCommit({ postgres }: World): boolean {
  return postgres.phase === 'up' && postgres.wal.transactions.length < TRANSACTIONS_MAX;
}

/** One transaction, of no event, few or many. */
export function commitSome(world: World, draws: Draws, profile: Profile): string {
  const size = draws.once(12)
    ? draws.between(5, profile.hugeEvents)
    : draws.once(8)
      ? 0
      : draws.between(1, 3);
  const aggregates = Array.from({ length: size }, () => draws.pick(profile.aggregates) as string | null);
  if (profile.hasUnroutable && size > 0 && draws.once(8)) {
    aggregates[draws.below(size)] = null;
    world.oracle.excuse('EVENT_NO_ROUTE');
  }
  const { wal, isPublishing } = world.postgres;
  const transaction = wal.commit(aggregates, {
    gap: draws.pick(GAPS),
    isPublished: isPublishing,
  });
  const ids = transaction.events
    .map(({ id, aggregate, isUnroutable }) => `${id}(${isUnroutable ? 'NULL' : aggregate})`)
    .join(' ');
  return `a transaction commits at ${formatLsn(transaction.commitLsn)}, ends at ${formatLsn(transaction.endLsn)}: ${ids}${isPublishing ? '' : ' (not published)'}`;
}

const TRANSACTIONS_MAX = 20;
const STEPS_UNTIL_STREAMING_MAX = 150;
const GAPS = [0, 0, 8, 0x100] as const;
const STRETCHES_MS = [0, 0, 0, 1, 100, 1000, 6000, 15_000, 40_000] as const;
