import { namesKey } from '../../src/core/own-keys.ts';
import { ANNOTATE_SCRIPT } from '../../src/sink/append-script.ts';
import type { RedisPlace } from '../../dev/docs/reply-safety/redis-replies.ts';
import type { FaultProxy, ProxiedConnection, Tap } from './fault-proxy.ts';
import { nameOfCommand, RespReader } from './protocol-points.ts';

/**
 * executed   Redis runs the command, its answer is exchanged
 * swallowed  Redis never sees the command
 */
export type SwapMode = 'executed' | 'swallowed';

/** A refused entry comes in the answer to a batch. */
export type CommandPlace = Exclude<RedisPlace, 'entry'>;

/** What comes instead of the answer: these bytes, then what happens to the connection. */
export interface Swap {
  readonly at: CommandPlace;
  readonly mode: SwapMode;
  /** Null: the real answer, or its first half. Only of an executed command. */
  readonly bytes: Buffer | null;
  readonly isHalf?: boolean;
  readonly ending?: 'go on' | 'reset' | 'end' | 'silence';
}

/** Exchanges the answer to the next command at one place of a relay's life. All other answers keep their order. */
export class ReplySwap {
  #armed: { readonly swap: Swap; readonly fired: () => void } | null = null;

  constructor(proxy: FaultProxy) {
    proxy.tap = (connection) => this.#tap(connection);
  }

  /** Resolves when the answer was given. */
  async arm(swap: Swap): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#armed = { swap, fired: resolve };
    });
  }

  disarm(): void {
    this.#armed = null;
  }

  #tap(connection: ProxiedConnection): Tap {
    const commands = new RespReader();
    const replies = new RespReader();
    const awaited: Awaited[] = [];
    let isSilent = false;
    /** What can go to the client now: answers that Redis never sees come when their turn is. */
    const take = (reply: Buffer | null): Buffer => {
      const out: Buffer[] = [];
      let real = reply;
      for (;;) {
        const [next] = awaited;
        if (isSilent || next === undefined || (next.isFromServer && real === null)) break;
        awaited.shift();
        if (next.armed === null) out.push(real as Buffer);
        else {
          const { swap, fired } = next.armed;
          const bytes = swap.bytes ?? real ?? EMPTY;
          out.push(swap.isHalf === true ? bytes.subarray(0, bytes.length >> 1) : bytes);
          if (swap.ending !== undefined && swap.ending !== 'go on') isSilent = true;
          finish(connection, swap.ending ?? 'go on', fired);
        }
        if (next.isFromServer) real = null;
      }
      return Buffer.concat(out);
    };
    return {
      onUpstream: (chunk) => {
        const forwarded: Buffer[] = [];
        for (const command of commands.push(chunk)) {
          const armed = this.#armed?.swap.at === placeOfCommand(command) ? this.#armed : null;
          if (armed !== null) this.#armed = null;
          const isFromServer = armed?.swap.mode !== 'swallowed';
          awaited.push({ armed, isFromServer });
          if (isFromServer) forwarded.push(command);
        }
        const out = take(null);
        if (out.length > 0) connection.toClient.write(out);
        return Buffer.concat(forwarded);
      },
      onDownstream: (chunk) => Buffer.concat(replies.push(chunk).map((reply) => take(reply))),
    };
  }
}

/** After the bytes of this turn have gone out. */
function finish(connection: ProxiedConnection, how: NonNullable<Swap['ending']>, fired: () => void): void {
  setImmediate(() => {
    void connection.toClient.flushed().then(() => {
      if (how === 'reset') connection.resetClient();
      if (how === 'end') connection.toClient.end();
      fired();
    });
  });
}

const EMPTY = Buffer.alloc(0);
const NAMES = namesKey('');

interface Awaited {
  readonly armed: { readonly swap: Swap; readonly fired: () => void } | null;
  readonly isFromServer: boolean;
}

const PLACE_BY_COMMAND: Readonly<Record<string, CommandPlace>> = {
  auth: 'auth',
  select: 'select',
  ping: 'ping',
  info: 'info',
  config: 'config',
  script: 'load',
  wait: 'wait',
};

/** Where in a relay's life a command stands; null for what no session waits for. */
function placeOfCommand(command: Buffer): CommandPlace | null {
  const script = nameOfCommand(command);
  if (script === 'append' || script === 'floor' || script === 'fence') return script;
  const [name = '', key = ''] = command
    .toString('latin1', 0, 200)
    .split('\r\n')
    .filter((_, index) => index === 2 || index === 4);
  switch (name.toLowerCase()) {
    case 'eval':
      return command.includes(ANNOTATE_SCRIPT) ? 'annotate' : null;
    case 'hgetall':
      return key.endsWith(NAMES) ? 'names' : 'read';
    case 'hset':
      return key.endsWith(NAMES) ? 'name' : null;
  }
  return PLACE_BY_COMMAND[name.toLowerCase()] ?? null;
}
