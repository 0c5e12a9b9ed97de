import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../../src/core/error-codes.ts';
import type { Env } from './cli.ts';
import { expectExact, Oracle } from './exactness.ts';
import type { Outbox } from './outbox.ts';
import { RelayInProcess } from './relay-in-process.ts';

/** What came of one answer. */
export interface CellResult {
  /** Of the error that ended the session; `goes on` when none did. */
  readonly code: string;
  /** Of the process: it ended, or a new session followed. */
  readonly exitCode: number | null;
}

/** Quick to come back, so that hundreds of faults fit into a run. */
const QUICK: Env = {
  WALRELAY_BACKOFF_MIN_MS: '1',
  WALRELAY_BACKOFF_MAX_MS: '20',
  WALRELAY_STANDBY_POLL_MS: '10',
};

/**
 * The cells of a table of faults: each is one life of a relay, into which one fault comes, and after which the streams
 * must be what was committed. Relays run one after the other on one outbox.
 */
export class ReplyCells {
  readonly outbox: Outbox;
  /** In every payload; never to be seen in a log. */
  readonly marker = `MARKER-${randomBytes(8).toString('hex')}`;
  readonly #oracle: Oracle;
  readonly #env: Env;
  readonly #secrets: readonly string[];
  #count = 0;
  #relay: RelayInProcess | null = null;

  private constructor(outbox: Outbox, oracle: Oracle, env: Env) {
    this.outbox = outbox;
    this.#oracle = oracle;
    this.#env = { ...outbox.env, ...env, ...QUICK };
    const passwords = [env['DATABASE_URL'], env['REDIS_URL']].map((url) => new URL(url ?? '').password);
    this.#secrets = [this.marker, ...passwords.filter((password) => password !== '')];
  }

  static async open(outbox: Outbox, env: Env): Promise<ReplyCells> {
    return new ReplyCells(outbox, await Oracle.create(outbox), env);
  }

  /** `isLate`: the fault comes after the session has begun to stream. */
  async run(options: {
    readonly fired: Promise<void>;
    readonly isLate: boolean;
    readonly env?: Env;
  }): Promise<CellResult> {
    const last = await this.outbox.insert({ payload: JSON.stringify({ secret: this.marker }) });
    this.#count += 1;
    // Left over where a cell before failed.
    await this.#relay?.stop();
    const relay = RelayInProcess.start({ ...this.#env, ...options.env });
    this.#relay = relay;
    let isFired = false;
    void options.fired.then(() => {
      isFired = true;
    });
    const line = await relay.line(({ msg, err }) => {
      // On a busy machine the server may not have noticed yet that the relay before is gone.
      if (err?.code === 'SLOT_IN_USE' && !isFired) return false;
      return err?.code !== undefined || (!options.isLate && msg === 'streaming');
    });
    const failure = line === null ? await relay.ended : null;
    const result: CellResult = {
      code: failure?.code ?? line?.err?.code ?? 'goes on',
      exitCode: failure?.exitCode ?? null,
    };
    await options.fired;
    // Whoever needs a person gets one: it is started again.
    const healed = failure === null ? relay : RelayInProcess.start(this.#env);
    this.#relay = healed;
    await this.#arrived(healed, last);
    await healed.settled();
    const stopped = await healed.stop();
    if (stopped !== null) throw stopped;
    for (const text of [relay.text, healed.text, `${failure?.message} ${failure?.hint}`])
      expectNone(this.#secrets, text);
    return result;
  }

  /** Exact set, order and bytes, by the oracle; the floor is not behind what is confirmed. */
  async expectExact(): Promise<void> {
    const events = await expectExact(this.outbox, this.#oracle);
    if (events !== this.#count) throw new Error(`${events} events, not ${this.#count}`);
  }

  async #arrived(relay: RelayInProcess, id: string): Promise<void> {
    const stream = this.outbox.stream();
    const arrived = this.outbox.waitForLength(stream, this.#count);
    const ended = relay.ended.then((error) => {
      throw error ?? new Error('the relay stopped');
    });
    ended.catch(() => undefined);
    await Promise.race([arrived, ended]);
    await expectLast(this.outbox, id, this.#count);
  }
}

function expectNone(secrets: readonly string[], text: string): void {
  for (const secret of secrets) expect(text).not.toContain(secret);
}

/** The stream has that many entries, and ends with this event. */
async function expectLast(outbox: Outbox, id: string, count: number): Promise<void> {
  const [entry] = await outbox.redis.xrevrange(outbox.stream(), '+', '-', 'COUNT', 1);
  expect(entry?.[1].slice(0, 2)).toEqual(['id', id]);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(count);
}

/** What a cell must come to. */
export function resultOf(code: ErrorCode | 'goes on'): CellResult {
  if (code === 'goes on') return { code, exitCode: null };
  const { disposition, exitCode } = ERROR_CODES[code];
  return { code, exitCode: disposition === 'retry' ? null : exitCode };
}
