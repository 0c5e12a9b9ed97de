import type { PostgresServer } from '../../../dev/servers/postgres.ts';
import type { RedisServer } from '../../../dev/servers/redis.ts';
import type { Random } from '../../support/chaos-random.ts';
import type { Scene } from '../scene.ts';
import type { SoakRelays } from './soak-relays.ts';

export interface SoakGround {
  readonly scene: Scene;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  readonly relays: SoakRelays;
  readonly random: Random;
}

export type SoakClass = 'Postgres' | 'Redis' | 'network' | 'relay';

/** A fault that needs nobody's help: resolves when it is over. */
export interface SoakFault {
  readonly name: string;
  readonly klass: SoakClass;
  readonly isKill?: true;
  strike(ground: SoakGround): Promise<void>;
}

export const SOAK_FAULTS: readonly SoakFault[] = [
  {
    name: 'Postgres kill -9, restart',
    klass: 'Postgres',
    isKill: true,
    async strike({ postgres, random }) {
      await postgres.kill();
      await pause(random.int(0, 500));
      await postgres.start();
    },
  },
  {
    name: 'Postgres immediate stop, restart',
    klass: 'Postgres',
    isKill: true,
    async strike({ postgres }) {
      await postgres.stop('immediate');
      await postgres.start();
    },
  },
  {
    name: 'Postgres fast stop, restart',
    klass: 'Postgres',
    async strike({ postgres }) {
      await postgres.stop('fast');
      await postgres.start();
    },
  },
  {
    name: 'pg_terminate_backend of the walsender',
    klass: 'Postgres',
    async strike({ scene }) {
      await scene.outbox.query(
        'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active',
        [scene.outbox.name],
      );
    },
  },
  {
    name: 'Redis kill -9 (appendfsync always), restart',
    klass: 'Redis',
    isKill: true,
    async strike({ redis, random }) {
      await redis.kill();
      await pause(random.int(0, 500));
      await redis.start();
    },
  },
  {
    name: 'Redis SIGSTOP, SIGCONT',
    klass: 'Redis',
    async strike({ redis, random }) {
      redis.pause();
      try {
        await pause(random.int(100, 3000));
      } finally {
        redis.resume();
      }
    },
  },
  {
    name: 'Redis CLIENT KILL of everybody',
    klass: 'Redis',
    async strike({ scene }) {
      await scene.outbox.redis.call('CLIENT', 'KILL', 'TYPE', 'normal');
    },
  },
  {
    name: 'Redis out of memory, again and again',
    klass: 'Redis',
    async strike({ scene, random }) {
      for (let count = random.int(1, 5); count > 0; count -= 1) {
        await scene.outbox.redis.config('SET', 'maxmemory', '1');
        await pause(random.int(0, 300));
        await scene.outbox.redis.config('SET', 'maxmemory', '0');
        await pause(random.int(0, 100));
      }
    },
  },
  {
    name: 'connections reset',
    klass: 'network',
    async strike({ scene, random }) {
      random.pick([
        () => scene.links.postgres.resetAll(),
        () => scene.links.redis.resetAll(),
        () => scene.links.resetAll(),
      ])();
    },
  },
  {
    name: 'bytes swallowed, then let through',
    klass: 'network',
    async strike({ scene, random }) {
      const proxy = random.pick([scene.links.postgres, scene.links.redis]);
      const directions = random.pick([
        [proxy.upstream],
        [proxy.downstream],
        [proxy.upstream, proxy.downstream],
      ]);
      for (const direction of directions) direction.setBlackHole(true);
      await pause(random.int(200, 4000));
      for (const direction of directions) direction.setBlackHole(false);
    },
  },
  {
    name: 'bytes late, and in small pieces',
    klass: 'network',
    async strike({ scene, random }) {
      const directions = [scene.links.postgres, scene.links.redis].flatMap((proxy) => [
        proxy.upstream,
        proxy.downstream,
      ]);
      for (const direction of directions) {
        direction.delayMs = random.int(0, 200);
        direction.pieceBytes = random.pick([0, 1, 17, 1000]);
      }
      await pause(random.int(200, 3000));
      for (const direction of directions) {
        direction.delayMs = 0;
        direction.pieceBytes = 0;
      }
    },
  },
  {
    name: 'a connection cut at a byte',
    klass: 'network',
    async strike({ scene, random }) {
      const proxy = random.pick([scene.links.postgres, scene.links.redis]);
      const direction = random.pick([proxy.upstream, proxy.downstream]);
      direction.cut = random.pick(['reset', 'halfClose']);
      direction.cutAfterBytes = random.int(1, 20_000);
    },
  },
  {
    name: 'relay kill -9, restart',
    klass: 'relay',
    isKill: true,
    async strike({ relays, random }) {
      await relays.kill();
      await pause(random.int(0, 300));
      await relays.tend(1);
    },
  },
  {
    name: 'relay SIGTERM, restart',
    klass: 'relay',
    async strike({ relays }) {
      await relays.stop();
      await relays.tend(1);
    },
  },
  {
    name: 'relay SIGSTOP, SIGCONT',
    klass: 'relay',
    async strike({ relays, random }) {
      const relay = relays.suspend();
      await pause(random.int(100, 4000));
      relay.signal('SIGCONT');
    },
  },
  {
    name: 'relay kill -9 beside a standby',
    klass: 'relay',
    isKill: true,
    async strike({ relays, random }) {
      await relays.tend(2);
      await pause(random.int(0, 1500));
      await relays.kill();
    },
  },
  {
    name: 'relay SIGSTOP beside a standby, until it has taken over',
    klass: 'relay',
    async strike({ relays, random }) {
      await relays.tend(2);
      await pause(random.int(500, 1500));
      const relay = relays.suspend();
      // Longer than wal_sender_timeout of the soak.
      await pause(random.int(2500, 5000));
      relay.signal('SIGCONT');
    },
  },
];

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
