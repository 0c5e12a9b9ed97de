import type { Durability } from '../core/durability.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { RedisConnection } from './redis-connection.ts';
import { unknownReply } from './redis-reply.ts';

/** What the guards want to know of a Redis server. Null where its user may not ask. */
export interface RedisFacts {
  readonly version: string;
  readonly flavor: string;
  readonly role: string;
  /** standalone, cluster or sentinel. */
  readonly mode: string;
  readonly replicaCount: number;
  readonly isLoading: boolean;
  readonly evictionPolicy: string | null;
  readonly hasAof: boolean;
  /** The `save` rules; null when CONFIG is not permitted. */
  readonly saveRules: string | null;
  readonly bulkBytesMax: number | null;
}

export interface RedisExpectations {
  /** The largest argument the relay may send, in bytes. */
  readonly argumentBytesMax: number;
  readonly isPersistenceRequired: boolean;
  readonly isCluster: boolean;
}

export async function readRedisFacts(redis: RedisConnection): Promise<RedisFacts> {
  const info = parseInfo(String(await redis.command('INFO', 'INFO')));
  if (info['redis_version'] === undefined) throw unknownReply('INFO');
  const config = await readConfig(redis);
  return {
    version: info['valkey_version'] ?? info['redis_version'] ?? '0',
    flavor: info['valkey_version'] === undefined ? 'Redis' : 'Valkey',
    role: info['role'] ?? 'unknown',
    mode: info['server_mode'] ?? info['redis_mode'] ?? 'standalone',
    replicaCount: Number(info['connected_slaves'] ?? info['connected_replicas'] ?? 0),
    isLoading: info['loading'] === '1',
    evictionPolicy: info['maxmemory_policy'] ?? config?.['maxmemory-policy'] ?? null,
    hasAof: info['aof_enabled'] === '1',
    saveRules: config?.['save'] ?? null,
    bulkBytesMax: config?.['proto-max-bulk-len'] === undefined ? null : Number(config['proto-max-bulk-len']),
  };
}

/** CONFIG is more than a relay needs to be allowed: without it two of the checks are left out. */
async function readConfig(redis: RedisConnection): Promise<Record<string, string> | null> {
  const record: Record<string, string> = {};
  try {
    for (const name of ['maxmemory-policy', 'save', 'proto-max-bulk-len']) {
      const reply = await redis.command('CONFIG GET', 'CONFIG', 'GET', name);
      if (Array.isArray(reply) && reply.length === 2) record[name] = String(reply[1]);
    }
    return record;
  } catch (error) {
    if (
      error instanceof WalrelayError &&
      (error.code === 'REDIS_PRIVILEGE' || error.code === 'REDIS_REFUSED')
    ) {
      return null;
    }
    throw error;
  }
}

function parseInfo(text: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trim();
  }
  return fields;
}

/** Pure: the guards on Redis itself. */
export function findRedisProblems(facts: RedisFacts, expected: RedisExpectations): WalrelayError[] {
  if (facts.isLoading) return [new WalrelayError('REDIS_NOT_READY', 'Redis is loading its data set')];
  const problems: WalrelayError[] = [];
  if ((facts.mode === 'cluster') !== expected.isCluster || facts.mode === 'sentinel') {
    const expectedMode = expected.isCluster ? 'a node of a cluster' : 'a single server';
    problems.push(
      new WalrelayError(
        'REDIS_MODE',
        `REDIS_URL leads to ${MODES[facts.mode] ?? facts.mode}, not to ${expectedMode}`,
        {
          hint: `Set WALRELAY_REDIS_MODE=${facts.mode}.`,
        },
      ),
    );
  }
  const [major = 0, minor = 0] = facts.version.split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) {
    problems.push(new WalrelayError('REDIS_VERSION', `${facts.flavor} ${facts.version} is too old`));
  }
  if (facts.role === 'slave' || facts.role === 'replica') {
    problems.push(new WalrelayError('REDIS_NOT_PRIMARY', 'REDIS_URL points at a read-only replica'));
  }
  if (facts.evictionPolicy !== null && facts.evictionPolicy !== 'noeviction') {
    problems.push(
      new WalrelayError(
        'REDIS_EVICTS',
        `Redis is set up as a cache (maxmemory-policy ${facts.evictionPolicy}): it would drop streams and the watermark`,
      ),
    );
  }
  if (facts.bulkBytesMax !== null && facts.bulkBytesMax < expected.argumentBytesMax) {
    problems.push(
      new WalrelayError(
        'REDIS_LIMIT',
        `Redis takes at most ${facts.bulkBytesMax} bytes in one argument (proto-max-bulk-len); the relay may send ${expected.argumentBytesMax}`,
      ),
    );
  }
  if (expected.isPersistenceRequired && !isPersistent(facts)) {
    problems.push(
      new WalrelayError('REDIS_VOLATILE', 'Redis keeps nothing on disk: a restart loses every stream'),
    );
  }
  return problems;
}

const MODES: Readonly<Record<string, string>> = {
  standalone: 'a single server',
  sentinel: 'a sentinel',
  cluster: 'a node of a cluster',
};

export function findRedisWarnings(facts: RedisFacts, durability: Durability): string[] {
  const replicas = durability.level === 'replicas' ? durability.replicas : 0;
  return [
    ...(facts.replicaCount < replicas
      ? [
          `${facts.replicaCount} of the ${replicas} replicas that WALRELAY_DURABILITY asks for are connected: nothing is confirmed until they are`,
        ]
      : []),
    ...findPersistenceWarnings(facts),
  ];
}

function findPersistenceWarnings(facts: RedisFacts): string[] {
  if (!isPersistent(facts)) {
    return [
      'Redis keeps nothing on disk: a restart loses every stream, and Walrelay will then stop and say so',
    ];
  }
  if (!facts.hasAof) {
    return [
      'Redis has snapshots only (appendonly no): a crash loses the last minutes, and Walrelay will then stop and say so',
    ];
  }
  return [];
}

function isPersistent(facts: RedisFacts): boolean {
  return facts.hasAof || facts.saveRules === null || facts.saveRules !== '';
}
