import type { PostgresPlace } from '../../dev/docs/reply-safety/sqlstates.ts';
import type { FaultProxy, ProxiedConnection, Tap } from './fault-proxy.ts';
import { backendFrame, cString } from './backend-frame.ts';
import { FrameReader } from './protocol-points.ts';

export interface ErrorResponse {
  readonly at: PostgresPlace;
  readonly sqlState: string;
  readonly isFatal: boolean;
  readonly message: string;
  /** Into detail, hint, context and internal query: what no log may show. */
  readonly secret: string;
  /** In the stream: instead of the first change, or right behind it. */
  readonly isBehind?: boolean;
}

/** Puts an ErrorResponse into one place of a relay's life. What it was an answer to never reaches the server. */
export class ErrorResponseSwap {
  #armed: { readonly response: ErrorResponse; readonly fired: () => void } | null = null;

  constructor(proxy: FaultProxy) {
    proxy.tap = (connection) => this.#tap(connection);
  }

  /** Resolves when the error was given. */
  async arm(response: ErrorResponse): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#armed = { response, fired: resolve };
    });
  }

  /** The armed one when it belongs here; it is used up by that. */
  #take(place: PostgresPlace): { readonly response: ErrorResponse; readonly fired: () => void } | null {
    const armed = this.#armed;
    if (armed === null || armed.response.at !== place) return null;
    this.#armed = null;
    return armed;
  }

  #tap(connection: ProxiedConnection): Tap {
    const frontend = new FrameReader({ hasStartup: true });
    const backend = new FrameReader({ hasStartup: false });
    let kind: 'replication' | 'watch' | 'guardian' | null = null;
    let isShut = false;
    let isUntilSync = false;
    const placeOf = (bytes: Buffer): PostgresPlace | null => {
      if (kind === null) {
        kind = bytes.includes('replication\0') ? 'replication' : 'watch';
        // It is no part of a session: what it meets ends nothing.
        if (bytes.includes('(WAL guardian)')) kind = 'guardian';
        return kind === 'replication' ? 'connect' : kind === 'watch' ? 'watchConnect' : null;
      }
      if (kind === 'guardian') return null;
      if (kind === 'watch')
        return bytes[0] === QUERY || bytes[0] === PARSE || bytes[0] === BIND ? 'watch' : null;
      if (bytes[0] !== QUERY) return null;
      if (bytes.includes('START_REPLICATION')) return 'start';
      return bytes.includes('json_build_object') ? 'guard' : null;
    };
    const answer = (
      before: readonly Buffer[],
      { response, fired }: { response: ErrorResponse; fired: () => void },
    ) => {
      const isOver = response.isFatal || response.at === 'connect' || response.at === 'watchConnect';
      const idle = isOver ? [] : [backendFrame('Z', Buffer.from('I'))];
      connection.toClient.write(Buffer.concat([...before, errorFrame(response), ...idle]));
      // The real stream would go on behind it.
      isShut = isOver || response.at === 'stream';
      void connection.toClient.flushed().then(() => {
        if (isShut) connection.resetServer();
        if (isOver) connection.toClient.end();
        fired();
      });
    };
    return {
      onUpstream: (chunk) => {
        const forwarded: Buffer[] = [];
        for (const bytes of frontend.push(chunk)) {
          if (isUntilSync) {
            isUntilSync = bytes[0] !== SYNC;
            continue;
          }
          const place = placeOf(bytes);
          const armed = place === null || isShut ? null : this.#take(place);
          if (armed !== null) {
            // Of an extended query the rest is skipped, as the server does after an error.
            isUntilSync = place === 'watch' && bytes[0] !== QUERY;
            answer([], armed);
          } else if (!isShut) forwarded.push(bytes);
        }
        return Buffer.concat(forwarded);
      },
      onDownstream: (chunk) => {
        const forwarded: Buffer[] = [];
        for (const bytes of backend.push(chunk)) {
          if (isShut) break;
          const isChange = bytes[0] === COPY_DATA && bytes[5] === XLOG_DATA && bytes[30] === INSERT;
          const armed = isChange ? this.#take('stream') : null;
          if (armed === null) forwarded.push(bytes);
          else
            answer(
              armed.response.isBehind === true ? [...forwarded.splice(0), bytes] : forwarded.splice(0),
              armed,
            );
        }
        return Buffer.concat(forwarded);
      },
    };
  }
}

/** https://www.postgresql.org/docs/current/protocol-error-fields.html */
function errorFrame({ sqlState, isFatal, message, secret }: ErrorResponse): Buffer {
  const severity = isFatal ? 'FATAL' : 'ERROR';
  const fields: readonly (readonly [code: string, value: string])[] = [
    ['S', severity],
    ['V', severity],
    ['C', sqlState],
    ['M', message],
    ['D', `Failing row contains (${secret}).`],
    ['H', `Look at ${secret}.`],
    ['q', `SELECT '${secret}'`],
    ['W', `COPY outbox, line 1: "${secret}"`],
  ];
  return backendFrame(
    'E',
    ...fields.map(([code, value]) => Buffer.concat([Buffer.from(code), cString(value)])),
    Buffer.alloc(1),
  );
}

const QUERY = 0x51; // 'Q'
const PARSE = 0x50; // 'P'
const BIND = 0x42; // 'B'
const SYNC = 0x53; // 'S'
const COPY_DATA = 0x64; // 'd'
const XLOG_DATA = 0x77; // 'w'
const INSERT = 0x49; // 'I'
