import { Command, Redis, type RedisOptions } from 'ioredis';
import { createDeferred, type Deferred } from '../core/deferred.ts';
import type { HostPort, RedisTarget } from '../core/redis-target.ts';
import { tlsFix, type TlsNames } from '../core/tls-failure.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { replyError } from './redis-reply.ts';
import { probeTls } from './tls-probe.ts';

/**
 * One connection to Redis, for one session. ioredis carries it (handshake, TLS, RESP); everything it does on its
 * own behalf is off: no reconnect, no offline queue, no resend. A command whose answer is late or lost ends the
 * session, because only a new session knows what stands (it reads the watermark).
 */
export class RedisConnection {
  readonly #redis: Redis;
  readonly #timeoutMs: number;
  readonly #ended = createDeferred<WalrelayError>();
  /** Commands in flight, oldest first. */
  readonly #pending: PendingCommand[] = [];
  #endReason: WalrelayError | null = null;
  readonly #deadline: NodeJS.Timeout;
  #isDestroyed = false;

  private constructor(redis: Redis, timeoutMs: number) {
    this.#redis = redis;
    this.#timeoutMs = timeoutMs;
    redis.on('close', () =>
      this.#end(new WalrelayError('REDIS_CONNECTION_LOST', 'the connection to Redis was lost')),
    );
    this.#deadline = setInterval(() => this.#checkDeadline(), Math.min(1000, Math.max(10, timeoutMs / 4)));
    this.#deadline.unref();
  }

  /**
   * Connects to the server, to the master that the sentinels name, or to `node` of a cluster, and authenticates.
   * `timeoutMs` bounds the connect and, later, every command.
   */
  static async open(target: RedisTarget, timeoutMs: number, node?: HostPort): Promise<RedisConnection> {
    const url = node === undefined ? target.url : urlOfNode(target.url, node);
    const redis = new Redis(url, {
      ...OPTIONS,
      ...(target.tls === null ? {} : { tls: target.tls }),
      ...(target.mode === 'sentinel' ? sentinelOptions(target, timeoutMs) : {}),
      connectTimeout: timeoutMs,
    });
    // ioredis rejects connect() with a general text; the reason comes as an event just before.
    let reason: unknown;
    redis.on('error', (error: unknown) => {
      // Where AUTH was refused SELECT is refused too, for want of it, and may be told first.
      if (reason === undefined || isOfAuth(error)) reason = error;
    });
    const late = createDeferred<never>();
    const timer = setTimeout(() => late.reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      await Promise.race([redis.connect(), late.promise]);
      // Authentication is pipelined with the connect: only an answered command proves it.
      await Promise.race([redis.ping(), late.promise]);
      // And a second round trip: the refusal that came in one read with the first answer is told a moment after it.
      await Promise.race([redis.ping(), late.promise]);
      // ioredis connects all the same when SELECT was refused, and would write into database 0.
      if (reason !== undefined) throw new Error('refused');
    } catch (error) {
      redis.disconnect();
      const failure = connectError(reason ?? error, target.tls !== null);
      if (target.tls === null || failure.code !== 'REDIS_UNREACHABLE') throw failure;
      const hosts =
        node !== undefined ? [node] : target.mode === 'sentinel' ? target.seeds : target.seeds.slice(0, 1);
      const refusal = await probeTls(hosts, target.tls, timeoutMs);
      throw refusal === null ? failure : connectError(refusal, true);
    } finally {
      clearTimeout(timer);
    }
    return new RedisConnection(redis, timeoutMs);
  }

  /** Resolves with the reason when the connection is over. Never rejects. */
  get ended(): Promise<WalrelayError> {
    return this.#ended.promise;
  }

  /** Sends one command; `doing` names it in errors. Rejects with the reply's meaning, or when the session is over. */
  async command(doing: string, name: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#send(doing, () => this.#redis.call(name, ...args));
  }

  /** As `command`, with texts of the answer as their bytes. */
  async commandBuffer(doing: string, name: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#send(doing, () => this.#redis.callBuffer(name, ...args));
  }

  /** Sends a command that is RESP already. `frame` must not change before the answer. */
  async commandFrame(doing: string, name: string, frame: Buffer): Promise<unknown> {
    return this.#send(
      doing,
      () => this.#redis.sendCommand(new FramedCommand(name, frame)) as Promise<unknown>,
    );
  }

  async #send(doing: string, send: () => Promise<unknown>): Promise<unknown> {
    if (this.#endReason !== null) throw this.#endReason;
    const command: PendingCommand = { sentAtMs: performance.now(), settled: createDeferred<unknown>() };
    this.#pending.push(command);
    send().then(
      (reply) => command.settled.resolve(reply),
      (error: unknown) => command.settled.reject(commandError(error, doing)),
    );
    try {
      return await command.settled.promise;
    } finally {
      // Redis answers in order, so this is the oldest one: but never trust that with a memory leak.
      this.#pending.splice(this.#pending.indexOf(command), 1);
    }
  }

  /** Ends the connection at once. Commands in flight reject; whether Redis ran them, the watermark will tell. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    clearInterval(this.#deadline);
    this.#redis.disconnect();
    this.#end(new WalrelayError('REDIS_CONNECTION_LOST', 'the connection to Redis was closed'));
  }

  #checkDeadline(): void {
    const oldest = this.#pending[0];
    if (oldest === undefined) return;
    const waitedMs = performance.now() - oldest.sentAtMs;
    if (waitedMs < this.#timeoutMs) return;
    this.#end(new WalrelayError('REDIS_TIMEOUT', `Redis has not answered for ${Math.round(waitedMs)} ms`));
  }

  #end(error: WalrelayError): void {
    if (this.#endReason !== null) return;
    this.#endReason = error;
    // With resend off ioredis may leave the commands of a dropped socket unsettled for ever.
    for (const command of this.#pending) command.settled.reject(error);
    this.#ended.resolve(error);
  }
}

/** A command that brings its own bytes: ioredis would copy a batch twice to write it. */
class FramedCommand extends Command {
  readonly #frame: Buffer;

  constructor(name: string, frame: Buffer) {
    super(name, [], { replyEncoding: 'utf8' });
    this.#frame = frame;
  }

  override toWritable(): Buffer {
    return this.#frame;
  }
}

interface PendingCommand {
  readonly sentAtMs: number;
  readonly settled: Deferred<unknown>;
}

/** What a URL says beside its host (credentials, TLS) goes for every node of a cluster. */
function urlOfNode(url: string, { host, port }: HostPort): string {
  const node = new URL(url);
  node.hostname = host.includes(':') ? `[${host}]` : host;
  node.port = String(port);
  return node.href;
}

/**
 * The sentinels are asked once, one after the other; when they announce another master, the connection ends: a master
 * that was replaced goes on taking writes for a while, and loses them all.
 */
function sentinelOptions(target: RedisTarget, timeoutMs: number) {
  return {
    sentinels: target.seeds.map(({ host, port }) => ({ host, port })),
    name: target.sentinelMaster,
    role: 'master' as const,
    ...(target.sentinelPassword === undefined ? {} : { sentinelPassword: target.sentinelPassword }),
    ...(target.tls === null ? {} : { enableTLSForSentinelMode: true, sentinelTLS: target.tls }),
    sentinelRetryStrategy: () => null,
    sentinelReconnectStrategy: () => null,
    sentinelCommandTimeout: timeoutMs,
    failoverDetector: true,
  } satisfies RedisOptions;
}

function commandError(error: unknown, doing: string): WalrelayError {
  if (isReplyError(error)) return replyError(error.message, doing);
  return new WalrelayError('REDIS_CONNECTION_LOST', `the connection to Redis was lost during ${doing}`, {
    cause: error,
  });
}

const OPTIONS = {
  lazyConnect: true,
  retryStrategy: () => null,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  // Our guards ask INFO themselves and tell LOADING from refusal.
  enableReadyCheck: false,
  connectionName: 'walrelay',
  // ioredis waits this long for a goodbye, even on a socket that is closed already: it would hold up every command.
  disconnectTimeout: 100,
  noDelay: true,
  protocol: 2,
} satisfies RedisOptions;

function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

function isOfAuth(error: unknown): boolean {
  return (
    isReplyError(error) &&
    (error as { readonly command?: { readonly name?: string } }).command?.name === 'auth'
  );
}

function connectError(error: unknown, isTls: boolean): WalrelayError {
  if (isReplyError(error)) return replyError(error.message, 'the connection');
  const message = `could not connect to Redis: ${messageOf(error)}`;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const fix = tlsFix(code, TLS_NAMES);
  if (fix !== undefined) return new WalrelayError('REDIS_TLS', message, { cause: error, hint: fix });
  // A port without TLS says nothing to the greeting of one that wants it.
  const hint = 'Check that the host and port of REDIS_URL answer, and that they speak TLS (rediss://).';
  return new WalrelayError('REDIS_UNREACHABLE', message, {
    cause: error,
    ...(isTls ? { hint } : {}),
  });
}

const TLS_NAMES: TlsNames = {
  caSetting: 'WALRELAY_REDIS_CA_FILE',
  certSettings: 'WALRELAY_REDIS_CERT_FILE and WALRELAY_REDIS_KEY_FILE',
  urlSetting: 'REDIS_URL (what sentinels and nodes announce counts as well)',
  verifyCa: 'WALRELAY_REDIS_TLS=verify-ca checks the authority alone',
  server: 'Redis',
};

/** Node reports a refused connection to a name with two addresses as an AggregateError without a message. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '' || !(error instanceof AggregateError)) return error.message;
  return error.errors.map(messageOf).join('; ');
}
