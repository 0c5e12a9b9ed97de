import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { loadSettings } from '../../src/config/load-settings.ts';
import { type Lsn, readLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import { FENCE_SCRIPT, FLOOR_SCRIPT } from '../../src/sink/append-script.ts';
import { relayShape } from '../../src/relay/relay-shape.ts';
import type { Env } from './cli.ts';
import { LETTER_APPENDING, NATIVE_APPENDING } from './native-outbox.ts';
import type { FaultProxy, ProxiedConnection, Tap } from './fault-proxy.ts';

/**
 * The named points of a relay's life, recognised in its bytes by proxies: nothing in the product knows of them.
 * Each message is held until it has arrived whole, so that a point is exact: nothing, half or all of it has
 * reached the server, and its answer has or has not come back.
 */
export type MessageName = 'append' | 'floor' | 'fence' | 'status' | 'start';

/**
 * before    the message is about to reach the server, and does not
 * half      half of its bytes reach the server, then the connection ends
 * executed  the server has answered, the answer is not passed on
 * answered  the answer was passed on
 */
export type Stage = 'before' | 'half' | 'executed' | 'answered';

export interface Point {
  readonly message: MessageName;
  readonly stage: Stage;
}

/** A status update has no answer of its own: `executed` is when it was passed on. */
export const POINTS: readonly Point[] = [
  ...(['append', 'floor', 'fence', 'start'] as const).flatMap((message) =>
    (['before', 'half', 'executed', 'answered'] as const).map((stage) => ({ message, stage })),
  ),
  ...(['before', 'half', 'executed'] as const).map((stage) => ({ message: 'status' as const, stage })),
];

/** Such a point comes once in a session's life, and not again while it streams. */
export function isSessionStart(point: Point): boolean {
  return point.message === 'fence' || point.message === 'start';
}

export function formatPoint(point: Point): string {
  return `${point.message}/${point.stage}`;
}

/** Watches both links of a relay for one point at a time. */
export class PointWatch {
  #armed: Armed | null = null;
  readonly #appendShas: readonly string[];
  #confirmedLsn: Lsn = ZERO_LSN;

  constructor(proxies: {
    readonly redis: FaultProxy;
    readonly postgres: FaultProxy;
    /** What the relay appends with, if its outboxes are not the usual one. */
    readonly appendShas?: readonly string[];
  }) {
    this.#appendShas = proxies.appendShas ?? USUAL_APPEND_SHAS;
    proxies.redis.tap = (connection) => this.#redisTap(connection);
    proxies.postgres.tap = (connection) => this.#postgresTap(connection);
  }

  /**
   * Waits for the `nth` message of that name and calls `strike` at the point; the connection is cut right after it.
   * Resolves then.
   */
  async arm(point: Point, nth: number, strike: () => void): Promise<void> {
    if (this.#armed !== null) throw new Error('a point is armed already');
    await new Promise<void>((resolve) => {
      this.#armed = { point, left: nth, strike, resolve };
    });
  }

  disarm(): void {
    this.#armed = null;
  }

  /** Whether this is the message the armed point speaks of; counts it. */
  #isNext(message: MessageName): Armed | null {
    const armed = this.#armed;
    if (armed === null || armed.point.message !== message) return null;
    armed.left -= 1;
    // Below: its connection went before the answer came, as when a batch before it was refused. The next will do.
    return armed.left <= 0 ? armed : null;
  }

  #fire(armed: Armed): void {
    if (this.#armed !== armed) return;
    this.#armed = null;
    armed.strike();
    armed.resolve();
  }

  #fireAtAnswer(
    armed: Armed,
    connection: ProxiedConnection,
    before: readonly Buffer[],
    answer: Buffer,
  ): void {
    const { stage } = armed.point;
    connection.toClient.write(Buffer.concat(stage === 'answered' ? [...before, answer] : before));
    void connection.toClient.flushed().then(async () => {
      // What was passed on gets a moment to be acted upon.
      if (stage === 'answered') await new Promise((resolve) => setTimeout(resolve, 1));
      this.#fire(armed);
      if (stage === 'executed') connection.resetClient();
      else connection.toClient.end();
    });
  }

  #redisTap(connection: ProxiedConnection): Tap {
    const commands = new RespReader();
    const replies = new RespReader();
    let sentCount = 0;
    let answeredCount = 0;
    let awaited: { readonly armed: Armed; readonly number: number } | null = null;
    let isShut = false;
    let isAnswered = false;
    return {
      onUpstream: (chunk) => {
        const forwarded: Buffer[] = [];
        for (const command of commands.push(chunk)) {
          if (isShut) break;
          sentCount += 1;
          const name = nameOfCommand(command, this.#appendShas);
          const armed = name === null ? null : this.#isNext(name);
          if (armed === null) {
            forwarded.push(command);
            continue;
          }
          isShut = true;
          switch (armed.point.stage) {
            case 'before':
            case 'half':
              if (armed.point.stage === 'half') forwarded.push(command.subarray(0, command.length >> 1));
              // Written here and not by the proxy, whose turn comes after the cut.
              connection.toServer.write(Buffer.concat(forwarded.splice(0)));
              this.#fire(armed);
              connection.resetClient();
              break;
            case 'executed':
            case 'answered':
              forwarded.push(command);
              awaited = { armed, number: sentCount };
              break;
          }
        }
        return Buffer.concat(forwarded);
      },
      onDownstream: (chunk) => {
        if (isAnswered) return EMPTY;
        const forwarded: Buffer[] = [];
        for (const reply of replies.push(chunk)) {
          answeredCount += 1;
          if (awaited === null || answeredCount < awaited.number) {
            forwarded.push(reply);
            continue;
          }
          const { armed } = awaited;
          awaited = null;
          isAnswered = true;
          this.#fireAtAnswer(armed, connection, forwarded, reply);
          return EMPTY;
        }
        return Buffer.concat(forwarded);
      },
    };
  }

  #postgresTap(connection: ProxiedConnection): Tap {
    const frontend = new FrameReader({ hasStartup: true });
    const backend = new FrameReader({ hasStartup: false });
    let awaited: Armed | null = null;
    let isShut = false;
    let isAnswered = false;
    // After the point the daemon may be dead, or else has to notice the cut: nothing more goes through, either way. What
    // came behind the answer would come without what stood in between.
    return {
      onUpstream: (chunk) => {
        const forwarded: Buffer[] = [];
        for (const frame of frontend.push(chunk)) {
          if (isShut) break;
          const name = this.#nameOfFrame(frame);
          const armed = name === null ? null : this.#isNext(name);
          if (armed === null) {
            forwarded.push(frame);
            continue;
          }
          isShut = true;
          const { stage } = armed.point;
          if (stage === 'half') forwarded.push(frame.subarray(0, frame.length >> 1));
          if (stage === 'executed' || stage === 'answered') forwarded.push(frame);
          const hasAnswer = armed.point.message === 'start';
          if (hasAnswer && (stage === 'executed' || stage === 'answered')) {
            awaited = armed;
            continue;
          }
          // Written here and not by the proxy, whose turn comes after the cut.
          connection.toServer.write(Buffer.concat(forwarded.splice(0)));
          this.#fire(armed);
          connection.resetClient();
        }
        return Buffer.concat(forwarded);
      },
      onDownstream: (chunk) => {
        if (isAnswered) return EMPTY;
        const forwarded: Buffer[] = [];
        for (const frame of backend.push(chunk)) {
          const armed = awaited;
          if (armed === null || frame[0] !== COPY_BOTH) {
            forwarded.push(frame);
            continue;
          }
          awaited = null;
          isAnswered = true;
          this.#fireAtAnswer(armed, connection, forwarded, frame);
          return EMPTY;
        }
        return Buffer.concat(forwarded);
      },
    };
  }

  #nameOfFrame(frame: Buffer): MessageName | null {
    const flushLsn = flushLsnOf(frame);
    if (flushLsn !== null) {
      if (flushLsn <= this.#confirmedLsn) return null;
      this.#confirmedLsn = flushLsn;
      return 'status';
    }
    return frame[0] === QUERY && frame.includes('START_REPLICATION') ? 'start' : null;
  }
}

interface Armed {
  readonly point: Point;
  left: number;
  readonly strike: () => void;
  readonly resolve: () => void;
}

const USUAL_APPEND_SHAS: readonly string[] = [NATIVE_APPENDING.script.sha, LETTER_APPENDING.script.sha];

/** The append scripts of relays with these settings, halting or with dead letters: they are made of the outboxes' mapping. */
export function appendShasOf(env: Env): readonly string[] {
  const settings = loadSettings({ env, flags: {}, readFile: (path) => readFileSync(path, 'utf8') });
  const shas = (['halt', 'dead-letter'] as const).map(
    (poison) => relayShape({ ...settings, poison }).appending.script.sha,
  );
  return [...new Set([...USUAL_APPEND_SHAS, ...shas])];
}

const FLOOR_SHA = createHash('sha1').update(FLOOR_SCRIPT).digest('hex');

/** What a command to Redis is in a relay's life; null for all that is no point. */
export function nameOfCommand(
  command: Buffer,
  appendShas: readonly string[] = USUAL_APPEND_SHAS,
): MessageName | null {
  // "*12\r\n$7\r\nEVALSHA\r\n$40\r\n<sha>": the beginning tells, whatever its case.
  const head = command.toString('latin1', 0, 80);
  if (/^\*\d+\r\n\$7\r\nevalsha\r\n/i.test(head)) {
    if (appendShas.some((sha) => head.includes(sha))) return 'append';
    if (head.includes(FLOOR_SHA)) return 'floor';
  }
  if (/^\*\d+\r\n\$4\r\neval\r\n/i.test(head) && command.includes(FENCE_SCRIPT)) return 'fence';
  return null;
}

/** The flush position of a standby status update; null for any other frame. */
export function flushLsnOf(frame: Buffer): Lsn | null {
  return frame.length === STATUS_FRAME_BYTES && frame[0] === COPY_DATA && frame[5] === STATUS_UPDATE
    ? readLsn(frame, 14)
    : null;
}

/** Cuts a RESP2 byte stream, of commands or of replies, into whole messages. */
export class RespReader {
  #held: Buffer = EMPTY;

  push(chunk: Buffer): Buffer[] {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const messages: Buffer[] = [];
    for (;;) {
      const end = respEnd(bytes, 0);
      if (end === null) break;
      messages.push(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
    this.#held = bytes;
    return messages;
  }
}

/** Where the message that begins at `at` ends; null when it has not arrived whole. */
function respEnd(bytes: Buffer, at: number): number | null {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd === -1) return null;
  const size = Number(bytes.toString('latin1', at + 1, lineEnd));
  let end = lineEnd + 2;
  switch (String.fromCharCode(bytes[at] as number)) {
    case '+':
    case '-':
    case ':':
      return end;
    case '$':
      if (size >= 0) end += size + 2;
      return end <= bytes.length ? end : null;
    case '*':
      for (let left = size; left > 0; left -= 1) {
        const next = respEnd(bytes, end);
        if (next === null) return null;
        end = next;
      }
      return end;
    default:
      throw new Error(`no RESP2: ${bytes.toString('latin1', at, at + 40)}`);
  }
}

/** Cuts one direction of a Postgres connection into whole frames, header included. */
export class FrameReader {
  #held: Buffer = EMPTY;
  #isStartupNext: boolean;

  /** A client's first frame has no type byte. */
  constructor(options: { readonly hasStartup: boolean }) {
    this.#isStartupNext = options.hasStartup;
  }

  push(chunk: Buffer): Buffer[] {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const frames: Buffer[] = [];
    for (;;) {
      const typeBytes = this.#isStartupNext ? 0 : 1;
      if (bytes.length < typeBytes + 4) break;
      const end = typeBytes + bytes.readUInt32BE(typeBytes);
      if (bytes.length < end) break;
      frames.push(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
      this.#isStartupNext = false;
    }
    this.#held = bytes;
    return frames;
  }
}

const EMPTY = Buffer.alloc(0);
const COPY_DATA = 0x64; // 'd'
const COPY_BOTH = 0x57; // 'W'
const QUERY = 0x51; // 'Q'
const STATUS_UPDATE = 0x72; // 'r'
/** Type, length, and the 34 bytes of a standby status update. */
const STATUS_FRAME_BYTES = 39;
