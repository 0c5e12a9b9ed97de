import type { PostgresServer } from '../../dev/servers/postgres.ts';
import type { RedisServer } from '../../dev/servers/redis.ts';
import type { RedisBinary } from '../../dev/servers/redis-binary.ts';
import type { RowContext } from '../campaign/row-context.ts';
import type { Pair } from './server-versions.ts';

/** The two servers of a cell, for its checks alone: they may be killed and configured, if they are left as they were found. */
export interface CellServers {
  readonly pair: Pair;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  /** For further servers of the same kind. */
  readonly redisBinary: RedisBinary;
}

/** One thing that must hold on every pair of servers. */
export interface Check {
  /** One word, for the table and for --only. */
  readonly id: string;
  /** One line, for people. */
  readonly what: string;
  /** What these servers don't have; null when it can be asked of them. */
  readonly notOffered?: (pair: Pair) => string | null;
  /** Throws when it does not hold. */
  run(context: RowContext, servers: CellServers): Promise<void>;
}
