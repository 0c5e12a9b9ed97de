import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { openGuardedDir } from './guarded-dir.ts';
import { findRedis, type RedisServer } from './redis.ts';
import { redisAnswers } from './redis-answers.ts';
import type { RedisBinary } from './redis-binary.ts';
import { callRedis, untilServers } from './redis-call.ts';
import { ServerProcess } from './server-process.ts';

/** Its URL has the password of the sentinels, if they have one. */
export type Sentinel = Pick<
  RedisServer,
  'url' | 'port' | 'pid' | 'pause' | 'resume' | 'kill' | 'start' | 'dispose'
>;

export interface Sentinels extends AsyncDisposable {
  readonly nodes: readonly Sentinel[];
  /** `host:port` of each. */
  readonly addresses: readonly string[];
  readonly masterName: string;
  /** Empty for none. */
  readonly password: string;
  /** The port of the primary, as the first sentinel that answers sees it. */
  masterPort(): Promise<number>;
  /** Resolves when every sentinel that runs names that server. */
  untilMaster(server: RedisServer): Promise<void>;
  /** SENTINEL FAILOVER: though the primary is well. */
  failover(): Promise<void>;
  dispose(): Promise<void>;
}

export interface SentinelOptions {
  readonly master: RedisServer;
  readonly replicas: readonly RedisServer[];
  readonly masterName?: string;
  /** Of the sentinels themselves; omitted: the servers'. */
  readonly password?: string;
  /** Omitted: 1000. With 500, sentinels on two busy cores were seen to fail over a primary that was well. */
  readonly downAfterMs?: number;
  readonly failoverTimeoutMs?: number;
  readonly binary?: RedisBinary;
}

const SENTINEL_COUNT = 3;
const QUORUM = 2;

/** Three sentinels over servers that run already; resolves when each knows the others and all replicas. */
export async function startSentinels(options: SentinelOptions): Promise<Sentinels> {
  const { master, replicas, masterName = 'mymaster', password = master.password } = options;
  const nodes: Sentinel[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map(async (node) => await node.dispose()));
  };
  const ask = async (node: Sentinel, ...args: string[]): Promise<unknown> =>
    await callRedis(node.url, 'SENTINEL', ...args);
  const masterPortOf = async (node: Sentinel): Promise<number> => {
    const [, port] = (await ask(node, 'GET-MASTER-ADDR-BY-NAME', masterName)) as [string, string];
    return Number(port);
  };
  const running = async (): Promise<Sentinel[]> => {
    const answers = await Promise.all(nodes.map(async (node) => await redisAnswers(node.port, password)));
    return nodes.filter((_, index) => answers[index]);
  };
  try {
    const binary = options.binary ?? (await findRedis());
    for (let count = 0; count < SENTINEL_COUNT; count += 1) {
      nodes.push(await startSentinel({ ...options, masterName, password, binary }));
    }
    await untilServers('the sentinels to know each other', async () => {
      for (const node of nodes) {
        const others = (await ask(node, 'SENTINELS', masterName)) as unknown[];
        const known = (await ask(node, 'REPLICAS', masterName)) as unknown[];
        if (others.length !== SENTINEL_COUNT - 1 || known.length !== replicas.length) return false;
      }
      return true;
    });
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    nodes,
    addresses: nodes.map(({ port }) => `127.0.0.1:${port}`),
    masterName,
    password,
    async masterPort() {
      const [node] = await running();
      if (node === undefined) throw new Error('no sentinel answers');
      return await masterPortOf(node);
    },
    async untilMaster(server) {
      await untilServers(`the sentinels to name port ${server.port}`, async () => {
        const ports = await Promise.all((await running()).map(masterPortOf));
        return ports.length > 0 && ports.every((port) => port === server.port);
      });
    },
    async failover() {
      const [node] = await running();
      if (node === undefined) throw new Error('no sentinel answers');
      await untilServers('the sentinels to know a replica that can be promoted', async () => {
        try {
          await ask(node, 'FAILOVER', masterName);
          return true;
        } catch (error) {
          // A server that has just come back is not known to be well yet.
          if (/NOGOODSLAVE|INPROG/.test(String(error))) return false;
          throw error;
        }
      });
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

async function startSentinel(
  options: SentinelOptions & {
    readonly masterName: string;
    readonly password: string;
    readonly binary: RedisBinary;
  },
): Promise<Sentinel> {
  const { binary, password } = options;
  const dir = openGuardedDir({ prefix: 'walrelay-sentinel-', endSignal: 'KILL' });
  const port = await freePort();
  const dataDir = join(dir.path, 'data');
  mkdirSync(dataDir);
  // A sentinel keeps what it learns in the file that it was given.
  const conf = join(dataDir, 'sentinel.conf');
  writeFileSync(conf, sentinelConf(port, dataDir, options));
  const server = new ServerProcess({
    name: `${binary.product} as sentinel`,
    command: binary.command,
    args: [conf, '--sentinel'],
    dir,
    logFile: join(dir.path, 'sentinel.log'),
    env: binary.env,
  });
  const start = async (): Promise<void> => await server.start(async () => await redisAnswers(port, password));
  const dispose = async (): Promise<void> => {
    await server.kill();
    await dir.remove();
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    url: `redis://${password === '' ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    port,
    get pid() {
      return server.pid;
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    kill: async () => await server.kill(),
    start,
    dispose,
  };
}

function sentinelConf(
  port: number,
  dataDir: string,
  options: SentinelOptions & { readonly masterName: string; readonly password: string },
): string {
  const { master, masterName, password, downAfterMs = 1_000, failoverTimeoutMs = 3_000 } = options;
  return [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dataDir}`,
    ...(password === '' ? ['protected-mode no'] : [`requirepass ${password}`]),
    `sentinel monitor ${masterName} 127.0.0.1 ${master.port} ${QUORUM}`,
    ...(master.password === '' ? [] : [`sentinel auth-pass ${masterName} ${master.password}`]),
    `sentinel down-after-milliseconds ${masterName} ${downAfterMs}`,
    `sentinel failover-timeout ${masterName} ${failoverTimeoutMs}`,
    `sentinel parallel-syncs ${masterName} 1`,
    '',
  ].join('\n');
}
