import { EventEmitter } from 'node:events';
import type { Link } from './link.ts';
import { activeProcess } from './relay-process.ts';
import { Refusal, type Reply } from './script-model.ts';

/**
 * Stands in for the package ioredis: as much of it as src/sink uses, on a simulated link. As there, a command of a connection that was lost may never
 * settle.
 */
export class Redis extends EventEmitter {
  readonly #process = activeProcess();
  readonly #url: string;
  #link: Link | null = null;

  constructor(url: string) {
    super();
    this.#url = url;
  }

  connect(): Promise<void> {
    const { world } = this.#process;
    return new Promise((resolve, reject) => {
      const link = world.connectRedis(this.#process, this.#url);
      this.#link = link;
      link.clientClosed = () => {
        const error = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
        this.emit('error', error);
        reject(error);
        this.emit('close');
      };
      link.send('connect', () =>
        link.reply('connected', () => {
          link.clientClosed = () => this.emit('close');
          resolve();
        }),
      );
    });
  }

  ping(): Promise<unknown> {
    return this.call('PING');
  }

  call(name: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#send(
      name,
      args.map((arg) => (typeof arg === 'number' ? String(arg) : arg)),
    );
  }

  sendCommand(command: Command): Promise<unknown> {
    const [name, ...args] = parseCommand(command.toWritable());
    return this.#send(String(name), args);
  }

  disconnect(): void {
    const link = this.#link;
    if (link === null || !link.isClientOpen) return;
    link.closeByClient();
    queueMicrotask(() => this.emit('close'));
  }

  #send(name: string, args: readonly (string | Buffer)[]): Promise<unknown> {
    const link = this.#link;
    if (link === null || !link.isClientOpen) return Promise.reject(new Error('Connection is closed.'));
    const { world } = this.#process;
    return new Promise((resolve, reject) => {
      const what = world.isTracing ? describeCommand(name, args) : name;
      const deliver = () => {
        world.runRedis(link, name, args, (reply) => {
          link.reply(world.isTracing ? describeReply(name, reply) : name, () => {
            if (reply instanceof Refusal) reject(reply);
            else resolve(reply);
          });
        });
      };
      link.send(what, deliver, name === 'EVALSHA');
    });
  }
}

export class Command {
  toWritable(): Buffer {
    throw new Error('only commands that bring their own bytes are simulated');
  }
}

/** RESP, as a server reads it. */
function parseCommand(frame: Buffer): (string | Buffer)[] {
  let at = 0;
  const line = (): string => {
    const end = frame.indexOf('\r\n', at);
    const text = frame.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  const count = Number(line().slice(1));
  const args: (string | Buffer)[] = [];
  for (let index = 0; index < count; index += 1) {
    const length = Number(line().slice(1));
    const bytes = frame.subarray(at, at + length);
    // The packed events, always the last argument of an append, stay bytes.
    args.push(index === count - 1 ? Buffer.from(bytes) : bytes.toString());
    at += length + 2;
  }
  if (at !== frame.length) throw new Error('a command that does not end where it says');
  return args;
}

function describeCommand(name: string, args: readonly (string | Buffer)[]): string {
  if (name === 'EVALSHA' || name === 'EVAL')
    return `${name} ${args
      .slice(2)
      .map((arg) => (typeof arg === 'string' ? arg : `${arg.length} bytes`))
      .join(' ')}`;
  return `${name} ${args.map(String).join(' ').slice(0, 40)}`;
}

function describeReply(name: string, reply: Reply | Refusal): string {
  const text = reply instanceof Refusal ? `-${reply.message}` : JSON.stringify(reply);
  return `${name} → ${text.slice(0, 120)}`;
}
