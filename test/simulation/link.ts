import type { RedisNode } from './redis-node.ts';
import type { RelayProcess } from './relay-process.ts';

export interface Message {
  /** For the trace. */
  readonly what: string;
  /** Changes what a Redis holds. */
  readonly isWrite?: boolean;
  readonly deliver: () => void;
}

/**
 * One TCP connection: what is sent arrives in its order, whenever the schedule says so; nothing is known of the order
 * between two connections. Either end may be gone while the other still believes.
 */
export class Link {
  readonly id: number;
  readonly kind: 'redis' | 'postgres' | 'watch';
  readonly owner: RelayProcess;
  readonly toServer: Message[] = [];
  readonly toClient: Message[] = [];
  isClientOpen = true;
  isServerOpen = true;
  /** Nothing gets through either way, and nobody is told. */
  isBlackHole = false;
  /** What was sent to the server stays under way until the server has heard so many others. */
  lateness = 0;
  /** What was sent to the server stays under way. */
  isHeld = false;
  /** The client has stopped reading. */
  isPaused = false;
  /** The Redis that it leads to, and in which of its lives; null for Postgres. */
  readonly node: RedisNode | null;
  readonly serverLife: number;
  /** The session that opened it. */
  readonly session: string;
  /** What the server does when it learns that the connection is over. */
  serverClosed: () => void = () => {};
  /** A last word of the server on a connection that does not stream. */
  saidFatal: (sqlState: string) => void = () => {};
  /** What the client does. */
  clientClosed: (reset: boolean) => void = () => {};

  constructor(id: number, kind: Link['kind'], owner: RelayProcess, node: RedisNode | null) {
    this.id = id;
    this.kind = kind;
    this.owner = owner;
    this.node = node;
    this.serverLife = node?.life ?? 0;
    this.session = owner.session;
  }

  get name(): string {
    return `${this.owner.name} ${this.node?.name ?? this.kind}#${this.id}`;
  }

  get isOver(): boolean {
    return !this.isClientOpen && !this.isServerOpen;
  }

  send(what: string, deliver: () => void, isWrite = false): void {
    if (this.isClientOpen) this.toServer.push({ what, deliver, isWrite });
  }

  reply(what: string, deliver: () => void): void {
    if (this.isServerOpen && this.isClientOpen) this.toClient.push({ what, deliver });
  }

  sayFatal(sqlState: string): void {
    this.reply(`FATAL ${sqlState}`, () => this.saidFatal(sqlState));
  }

  /** The client is gone: what it has sent may still arrive, and then the end of it. */
  closeByClient(): void {
    if (!this.isClientOpen) return;
    this.toServer.push({ what: 'end of connection', deliver: () => this.endServer() });
    this.isClientOpen = false;
    this.toClient.length = 0;
  }

  /** The server is gone: what it has sent may still arrive, and then the end of it. */
  closeByServer(): void {
    if (!this.isServerOpen) return;
    this.endServer();
    if (this.isClientOpen)
      this.toClient.push({ what: 'end of connection', deliver: () => this.endClient(false) });
  }

  /** Cut in the middle: of what is under way to the server the first `keep` still arrive, to the client nothing. */
  cut(keep: number): void {
    this.toServer.splice(keep);
    this.toServer.push({ what: 'reset', deliver: () => this.endServer() });
    this.toClient.length = 0;
    this.toClient.push({ what: 'reset', deliver: () => this.endClient(true) });
    this.isBlackHole = false;
  }

  /** The server's host is gone, with everything that was under way. */
  breakOff(): void {
    this.toServer.length = 0;
    this.isServerOpen = false;
    this.serverClosed();
    if (!this.isClientOpen || this.isBlackHole) return;
    this.toClient.length = 0;
    this.toClient.push({ what: 'reset', deliver: () => this.endClient(true) });
  }

  endServer(): void {
    if (!this.isServerOpen) return;
    this.isServerOpen = false;
    this.toServer.length = 0;
    this.serverClosed();
  }

  endClient(isReset: boolean): void {
    if (!this.isClientOpen) return;
    this.isClientOpen = false;
    this.toClient.length = 0;
    this.clientClosed(isReset);
  }
}
