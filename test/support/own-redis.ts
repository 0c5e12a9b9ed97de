import { afterAll, beforeAll } from 'vitest';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import type { Outbox } from './outbox.ts';
import { createOutbox } from './servers.ts';

export interface OwnRedis {
  readonly server: RedisServer;
  createOutbox(): Promise<Outbox>;
}

/** A Redis for the tests of one file, which may do to it what they like. Every write goes to its disk at once. */
export function ownRedis(): OwnRedis {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ args: ['--appendfsync', 'always'] });
  });
  afterAll(async () => {
    await server?.dispose();
  });
  return {
    get server() {
      return server;
    },
    createOutbox: () => createOutbox({ redisUrl: server.url }),
  };
}
