import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { aptRedis } from './apt-redis.ts';
import { freePort, isPortFree } from './free-port.ts';
import { type GuardedDir, openGuardedDir } from './guarded-dir.ts';
import { redisAnswers } from './redis-answers.ts';
import { hasStartFlags, type RedisBinary, redisOnPath } from './redis-binary.ts';
import { ServerProcess } from './server-process.ts';

export interface RedisServer extends AsyncDisposable {
  /** With the random password. */
  readonly url: string;
  /** Empty when the caller wants none. */
  readonly password: string;
  readonly port: number;
  readonly description: string;
  /** Where the append-only files lie. */
  readonly dir: string;
  /** Of the current life; throws while the server is down. */
  readonly pid: number;
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** SIGKILL; resolves when the server and a forked rewrite are gone. */
  kill(): Promise<void>;
  /** Same port, same data; resolves when loading is done. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Ends the server however it can and removes its files. */
  dispose(): Promise<void>;
}

export interface RedisOptions {
  /** Omitted: the machine's, else the one unpacked from apt. */
  readonly binary?: RedisBinary;
  /** Come last on the command line and so win over ours. */
  readonly args?: readonly string[];
}

const STOP_TIMEOUT_MS = 30_000;
const PORT_ATTEMPTS_MAX = 3;

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const binary = options.binary ?? (await findRedis());
  const dir = openGuardedDir({ prefix: 'walrelay-redis-', endSignal: 'KILL' });
  try {
    for (let attempt = 1; ; attempt += 1) {
      const port = await freePort();
      try {
        return await startOn(port, { dir, binary, args: options.args ?? [] });
      } catch (error) {
        // A parallel start took the port between our look and Redis' bind.
        if (attempt === PORT_ATTEMPTS_MAX || (await isPortFree(port))) throw error;
      }
    }
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

/** The one at hand. */
export async function findRedis(): Promise<RedisBinary> {
  const binary = redisOnPath() ?? (await aptRedis());
  if (binary === undefined) throw new Error(REDIS_MISSING);
  return binary;
}

export const REDIS_MISSING =
  'no Redis 7 or later: not on PATH, no Docker, no apt; run: sudo apt-get install redis-server (or brew install redis)';

interface StartContext {
  readonly dir: GuardedDir;
  readonly binary: RedisBinary;
  readonly args: readonly string[];
}

async function startOn(port: number, { dir, binary, args }: StartContext): Promise<RedisServer> {
  const dataDir = join(dir.path, 'data');
  mkdirSync(dataDir, { recursive: true });
  // A password, so that a test of a wrong one is refused for real.
  const password = passwordIn(args) ?? randomBytes(12).toString('hex');
  const server = new ServerProcess({
    name: binary.product,
    command: binary.command,
    args: [...defaultArgs({ port, dataDir, password, product: binary.product }), ...args],
    dir,
    logFile: join(dir.path, 'redis.log'),
    env: binary.env,
  });
  const start = async (): Promise<void> => await server.start(async () => await redisAnswers(port, password));
  await start();

  const dispose = async (): Promise<void> => {
    await server.kill();
    await dir.remove();
  };
  return {
    url: `redis://${password === '' ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    password,
    port,
    description: `${binary.product} (${binary.origin}), 127.0.0.1:${port}`,
    dir: dataDir,
    get pid() {
      return server.pid;
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    kill: async () => await server.kill(),
    start,
    stop: async () => await server.end('SIGTERM', STOP_TIMEOUT_MS),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

function defaultArgs(options: {
  readonly port: number;
  readonly dataDir: string;
  readonly password: string;
  readonly product: string;
}): string[] {
  const settings: (readonly [string, string])[] = [
    ['port', String(options.port)],
    ['bind', '127.0.0.1'],
    ['dir', options.dataDir],
    ['requirepass', options.password],
    // It may become the replica of one that has the same password.
    ['masterauth', options.password],
    // What a relay should be run against: a log of every write, and no key removed under memory pressure.
    ['appendonly', 'yes'],
    ['appendfsync', 'everysec'],
    ['save', ''],
    ['maxmemory-policy', 'noeviction'],
    ['repl-diskless-sync-delay', '0'],
  ];
  if (hasStartFlags(options.product)) settings.push(...FLAGS_SINCE_7);
  return settings.flatMap(([name, value]) => [`--${name}`, value]);
}

/** Before version 7 DEBUG is always allowed, and a stop does not wait. */
const FLAGS_SINCE_7: readonly (readonly [string, string])[] = [
  // Without it a stop refuses while a rewrite runs or a replica lags.
  ['shutdown-on-sigterm', 'nosave now force'],
  // Tests use DEBUG to fail on purpose.
  ['enable-debug-command', 'yes'],
];

/** The last one counts, as in Redis itself. */
function passwordIn(args: readonly string[]): string | undefined {
  const at = args.lastIndexOf('--requirepass');
  return at === -1 ? undefined : args[at + 1];
}
