import { formatLsn, type Lsn } from '../../src/core/lsn.ts';
import type { Draws } from './draws.ts';
import type { Link } from './link.ts';
import type { Profile } from './profile.ts';
import type { RelayProcess } from './relay-process.ts';
import type { RedisNode } from './redis-node.ts';
import { canCommit, commitSome, goOn, type StepKind } from './steps.ts';
import { copyData } from './wal.ts';
import type { World } from './world.ts';

/** Everything that can go wrong. Each has its opposite among the same kinds: what is down comes up, who sleeps wakes. */
export const FAULTS: readonly StepKind[] = [
  fault(
    'relay killed',
    (world, draws) => {
      const process = pickProcess(world, draws);
      if (process === null) return null;
      process.kill();
      return `kill -9 ${process.name}`;
    },
    4,
  ),
  fault('relay paused', async (world, draws) => {
    const process = pickProcess(world, draws);
    if (process === null) return null;
    if (process.state === 'running') {
      process.state = 'paused';
      return `${process.name} is paused (SIGSTOP)`;
    }
    process.state = 'running';
    return `${process.name} goes on (SIGCONT)`;
  }),
  fault('relay stopped', async (world, draws) => {
    const process = pickProcess(world, draws);
    if (process === null || process.state !== 'running') return null;
    world.note(`${process.name} is asked to stop (SIGTERM)`);
    await world.run(process, () => process.requestStop());
    return '';
  }),
  fault(
    'connection cut',
    (world, draws) => {
      const link = pickLink(world, draws);
      if (link === null) return null;
      const keep = draws.below(link.toServer.length + 1);
      link.cut(keep);
      return `${link.name} is reset; ${keep} messages still reach the server`;
    },
    4,
  ),
  fault('black hole', (world, draws) => {
    const link = pickLink(world, draws);
    if (link === null) return null;
    link.isBlackHole = true;
    return `${link.name} swallows everything`;
  }),
  fault(
    'words under way',
    async (world, draws, profile) => {
      // Worst is the moment when something was written and nobody has answered yet.
      const isWriting = draws.once(2) && (await letWrite(world, draws, profile));
      const link = draws.pick(isWriting ? writing(world) : world.links.filter(isTalking));
      if (link === undefined) return null;
      const { owner, kind } = link;
      const lateness = draws.between(1, LATENESS_MAX);
      for (const each of owner.links) if (each.kind === kind) world.delay(each, lateness);
      if (owner.state !== 'gone') owner.kill();
      if (draws.once(2) && world.living.length < profile.relays) await world.startProcess();
      return `kill -9 ${owner.name}; what it has sent to ${kind} takes its time (${lateness})`;
    },
    6,
  ),
  fault(
    'slow connection',
    async (world, draws) => {
      const held = world.links.filter(({ isHeld }) => isHeld);
      if (held.length > 0 && draws.once(2)) return letThrough(world, draws, held);
      const link = draws.pick(world.links.filter(isTalking));
      if (link === undefined) return null;
      link.isHeld = true;
      return `what ${link.name} sends is slow to arrive`;
    },
    4,
  ),
  fault('black hole ends', (world, draws) => {
    const link = world.links.find((each) => each.isBlackHole);
    if (link === undefined) return null;
    if (draws.once(2)) {
      link.isBlackHole = false;
      return `${link.name} is through again`;
    }
    link.cut(link.toServer.length);
    return `${link.name}: what was sent arrives, then the end`;
  }),
  fault('server gives up a silent client', (world, draws) => {
    const link = draws.pick(world.links.filter((each) => each.kind !== 'redis' && each.isServerOpen));
    if (link === undefined) return null;
    link.cut(0);
    link.endServer();
    return `Postgres gives up ${link.name}`;
  }),
  fault(
    'redis killed',
    (world, draws) => {
      const node = draws.pick(world.nodes);
      if (!node.isUp) return redisUp(node);
      return redisDown(world, node, draws.once(2) ? draws.between(0, 3) : 0);
    },
    4,
  ),
  fault(
    'redis failover',
    (world, draws) => {
      const node = draws.pick(world.nodes);
      if (!node.isUp) return redisUp(node);
      const text = redisDown(world, node, draws.between(0, draws.pick([3, 12])));
      redisUp(node);
      return `${text}; a replica takes over`;
    },
    6,
  ),
  fault(
    'redis emptied',
    (world, draws) => {
      const node = draws.pick(world.nodes);
      if (!node.isUp) return redisUp(node);
      return redisDown(world, node, Number.POSITIVE_INFINITY);
    },
    1,
  ),
  fault('redis full', (world, draws) => toggleRefusal(world, draws, OUT_OF_MEMORY)),
  fault(
    'redis refuses a write',
    (world, draws) => {
      const node = draws.pick(world.nodes);
      node.refusedOnce = OUT_OF_MEMORY;
      return `${node.name} will refuse one write: ${OUT_OF_MEMORY}`;
    },
    3,
  ),
  fault(
    'disk or replicas stuck',
    (world, draws) => {
      const node = draws.pick(world.nodes);
      node.isDiskStuck = !node.isDiskStuck;
      return node.isDiskStuck
        ? `nothing of ${node.name} comes to disk or replicas any more`
        : `what ${node.name} writes comes to disk and replicas again`;
    },
    3,
  ),
  fault('redis read-only', (world, draws) =>
    toggleRefusal(world, draws, "READONLY You can't write against a read only replica."),
  ),
  fault('redis disk full', (world, draws) =>
    toggleRefusal(world, draws, 'MISCONF Redis is configured to save RDB snapshots'),
  ),
  fault(
    'redis answers oddly',
    (world, draws) => {
      const text = draws.pick([
        'NONSENSE nobody knows this',
        'BUSY Redis is busy',
        'TRYAGAIN',
        'MOVED 1 redis-9:1',
        'CLUSTERDOWN',
      ]);
      draws.pick(world.nodes).answerOnceWith(text);
      if (text.startsWith('NONSENSE')) world.oracle.excuse('REDIS_REFUSED', 'REDIS_DURABILITY');
      return `the next answer of Redis, after the fact: -${text}`;
    },
    1,
  ),
  fault(
    'stream takes nothing',
    (world, draws, profile) => {
      const aggregate = draws.pick(profile.aggregates);
      const key = `outbox.${aggregate}`;
      const node = world.place.nodeOf(key);
      const isTaken = node.state.others.has(key);
      node.poke(world.nowMs, ({ others }) => void (isTaken ? others.delete(key) : others.add(key)));
      world.oracle.excuse('EVENT_REFUSED');
      // Worst is what comes behind the event that can't pass.
      if (!isTaken && canCommit(world) && draws.once(2)) {
        const { postgres } = world;
        postgres.wal.commit([aggregate], { gap: 0, isPublished: postgres.isPublishing });
        world.note(`a transaction commits with an event for it; and ${commitSome(world, draws, profile)}`);
      }
      if (isTaken) return `${key} takes entries again`;
      return node.state.streams.has(key)
        ? `somebody adds the last possible ID to ${key}`
        : `somebody makes ${key} a string`;
    },
    3,
  ),
  fault(
    'postgres killed',
    (world, draws) => {
      if (world.postgres.phase === 'down') return postgresUp(world);
      const slotLsn = pickPastSlot(world, draws);
      world.postgres.crash(slotLsn);
      return `kill -9 Postgres; the slot on disk was at ${formatLsn(slotLsn)}`;
    },
    4,
  ),
  fault('postgres shut down', (world) => {
    const { postgres } = world;
    if (postgres.phase === 'down') return postgresUp(world);
    if (postgres.phase === 'stopping') return `Postgres ${postgres.checkStopped()}`;
    postgres.stopFast();
    return 'Postgres is told to stop (fast)';
  }),
  fault('walsender terminated', (world, draws) => {
    const link = draws.pick([...world.postgres.walsenders.keys()]);
    if (link === undefined) return null;
    world.postgres.terminate(link, '57P01');
    return `pg_terminate_backend: ${link.name}`;
  }),
  fault('postgres promoted', (world, draws) => {
    const { postgres } = world;
    if (postgres.phase === 'down') return postgresUp(world);
    const ends = [postgres.wal.endLsn, ...postgres.wal.transactions.slice(-4).map(({ endLsn }) => endLsn)];
    const forkLsn = draws.pick(ends);
    const past = postgres.slotPast.filter((lsn) => lsn <= forkLsn);
    const slotLsn = draws.once(2) ? draws.pick(past) : (past.at(-1) as Lsn);
    world.oracle.forks(forkLsn);
    postgres.promote(forkLsn, slotLsn);
    postgres.phase = 'up';
    return `a standby that had replayed up to ${formatLsn(forkLsn)} is promoted; its slot is at ${formatLsn(slotLsn)}`;
  }),
  fault(
    'publication altered',
    async (world, draws) => {
      const { postgres } = world;
      if (postgres.phase !== 'up') return null;
      // Worst is the moment when the relay has just looked at the catalog and does not know yet what it saw.
      const isUnseen = draws.once(2) && (await letLook(world));
      postgres.publicationVersion += 1;
      postgres.isPublishing = !postgres.isPublishing;
      world.oracle.excuse('PUBLICATION_CHANGED', 'PUBLICATION_UNSUITABLE');
      if (postgres.isPublishing) return 'the table is added to the publication';
      postgres.wal.commit(['a'], { gap: 0, isPublished: false });
      for (const walsender of postgres.walsenders.values()) {
        if (walsender.isInTransaction || walsender.hasNews) continue;
        walsender.keepalive(postgres.wal.endLsn, false);
        const { link } = walsender;
        const canRead = () =>
          link.toClient.length > 0 && link.isClientOpen && !link.isPaused && !link.isBlackHole;
        if (isUnseen) while (canRead()) await world.deliver(link, false);
      }
      return 'the table is taken out of the publication; a transaction commits that nobody will see';
    },
    3,
  ),
  fault(
    'walsender speaks oddly',
    (world, draws) => {
      const walsender = draws.pick([...world.postgres.walsenders.values()]);
      if (walsender === undefined) return null;
      walsender.say(copyData(Buffer.from('z?')));
      world.oracle.excuse('PG_PROTOCOL');
      return `${walsender.link.name} walsender sends a message that nobody knows`;
    },
    1,
  ),
  fault('clock jumps', (world, draws) => {
    world.wallOffsetMs += (draws.once(2) ? 1 : -1) * draws.pick([1000, 86_400_000, 4_000_000_000]);
    return 'the time of day jumps';
  }),
];

/** Everything works again, for good. What was broken by then may have to be noticed first. */
export async function heal(world: World): Promise<void> {
  world.note('from here on nothing fails any more');
  const { nodes, postgres } = world;
  for (const process of world.living) process.state = 'running';
  for (const link of world.links) {
    link.isHeld = false;
    if (link.isBlackHole) {
      link.cut(0);
      link.endServer();
    }
  }
  for (const node of nodes) {
    redisUp(node);
    node.writeRefusal = null;
    node.refusedOnce = null;
    node.isDiskStuck = false;
    node.answerOnceWith(null);
    for (const key of node.state.others) node.poke(world.nowMs, ({ others }) => void others.delete(key));
  }
  if (postgres.phase === 'down') postgresUp(world);
  if (!postgres.isPublishing) {
    postgres.isPublishing = true;
    postgres.publicationVersion += 1;
  }
}

export function postgresUp(world: World): string {
  world.postgres.phase = 'up';
  return 'Postgres is up';
}

function redisUp(node: RedisNode): string {
  node.isUp = true;
  return `${node.name} is up`;
}

/** The last writes are gone, entries, watermark, floor and fence together. What was safe on disk or replicas stays. */
function redisDown(world: World, node: RedisNode, lostWrites: number): string {
  const isEmptied = lostWrites === Number.POSITIVE_INFINITY;
  const least = world.settings.durability.level === 'reply' ? 1 : node.safeCount;
  const kept = isEmptied ? 0 : Math.max(least, node.writes - lostWrites);
  const lost = node.writes - kept;
  node.crash(kept);
  for (const link of world.links) if (link.node === node) link.breakOff();
  world.oracle.lost(node);
  return `${node.name} is killed and loses ${isEmptied ? 'everything' : `its last ${lost} writes`}`;
}

function toggleRefusal(world: World, draws: Draws, text: string): string {
  const node = draws.pick(world.nodes);
  node.writeRefusal = node.writeRefusal === null ? text : null;
  return node.writeRefusal === null
    ? `${node.name} takes writes again`
    : `${node.name} refuses writes: ${text}`;
}

/** A relay looks at the catalog; the answer is under way. */
async function letLook(world: World): Promise<boolean> {
  const due = () =>
    world.links.find(
      (link) =>
        link.kind === 'watch' &&
        link.toServer.length > 0 &&
        link.isServerOpen &&
        !link.isHeld &&
        !link.isBlackHole,
    );
  const timer = world.nextTimer();
  if (due() === undefined && timer !== null) await world.passTime(Math.max(timer.dueMs, world.nowMs + 1000));
  const link = due();
  if (link === undefined || link.owner.state !== 'running') return false;
  await world.deliver(link, true);
  return true;
}

/** All that was held up, or only the first of it. */
async function letThrough(world: World, draws: Draws, held: readonly Link[]): Promise<string> {
  const link = draws.pick(held);
  if (draws.once(2) && link.toServer.length > 0 && link.isServerOpen) {
    world.note(`one message that ${link.name} has sent comes through`);
    await world.deliver(link, true);
    return '';
  }
  link.isHeld = false;
  return `what ${link.name} has sent comes through`;
}

/** Whether words are under way to the server. */
function isTalking({ toServer, isHeld, lateness }: Link): boolean {
  return toServer.length > 0 && !isHeld && lateness === 0;
}

/** Connections with a batch or a floor under way. */
function writing(world: World): Link[] {
  return world.links.filter((link) => isTalking(link) && link.toServer.some(({ isWrite }) => isWrite));
}

/** Until a relay has written something that has not arrived. */
async function letWrite(world: World, draws: Draws, profile: Profile): Promise<boolean> {
  if (world.isStreaming && canCommit(world)) world.note(commitSome(world, draws, profile));
  for (let left = STEPS_UNTIL_WRITTEN_MAX; left > 0 && writing(world).length === 0; left -= 1)
    await goOn(world);
  return writing(world).length > 0;
}

const STEPS_UNTIL_WRITTEN_MAX = 15;
/** In messages of others: about as many as a server hears from a relay that takes over. */
const LATENESS_MAX = 25;
const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";

function pickProcess(world: World, draws: Draws): RelayProcess | null {
  return draws.pick(world.living) ?? null;
}

function pickLink(world: World, draws: Draws): Link | null {
  return draws.pick(world.links.filter((link) => link.isClientOpen && link.isServerOpen)) ?? null;
}

/** The position of a slot is written to disk now and then: a crash can take it back to any that it ever had. */
function pickPastSlot(world: World, draws: Draws): Lsn {
  const { slotPast } = world.postgres;
  return slotPast[slotPast.length - 1 - draws.below(slotPast.length)] as Lsn;
}

function fault(name: string, act: StepKind['act'], weight = 2): StepKind {
  return { name, weight, isFault: true, act };
}
