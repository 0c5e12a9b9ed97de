import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy between a relay and one of its servers, which does to the bytes what networks do: late, in pieces,
 * not at all, cut off. Faults that are set on the proxy hold for all its connections, also for later ones.
 *
 * Upstream is what goes to the server, downstream what comes from it.
 */
export class FaultProxy implements AsyncDisposable {
  readonly port: number;
  readonly upstream = new DirectionFaults();
  readonly downstream = new DirectionFaults();
  /** Looks at the bytes of each new connection, see Tap. */
  tap: ((connection: ProxiedConnection) => Tap) | null = null;
  readonly #server: Server;
  readonly #connections = new Set<ProxiedConnection>();
  #target: Target;
  #connectionCount = 0;

  private constructor(server: Server, target: Target) {
    this.#server = server;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => {
      this.#connectionCount += 1;
      const connection = new ProxiedConnection(this, client, this.#target, this.#connectionCount);
      this.#connections.add(connection);
      connection.onClosed(() => this.#connections.delete(connection));
    });
  }

  /** Listens on a free port of the loopback; every connection goes on to where the URL points. */
  static async start(url: string): Promise<FaultProxy> {
    // Half-open connections are a fault of their own, so nothing may end the other half for us.
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new FaultProxy(server, targetOf(url));
  }

  /** The same URL, through the proxy. */
  url(url: string): string {
    const proxied = new URL(url);
    proxied.hostname = '127.0.0.1';
    proxied.port = String(this.port);
    return proxied.href;
  }

  /** Open ones, oldest first. */
  get connections(): readonly ProxiedConnection[] {
    return [...this.#connections];
  }

  /** All there ever were. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  /** Later connections go to another server, as when a name or a virtual address moves; open ones stay. */
  redirect(url: string): void {
    this.#target = targetOf(url);
  }

  /** RST to both ends of every connection. */
  resetAll(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** Nothing goes through, in either direction; connections stay open and new ones are accepted. */
  blackHole(isOn: boolean): void {
    this.upstream.setBlackHole(isOn);
    this.downstream.setBlackHole(isOn);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Sees every chunk before it goes on, and decides what goes on: what it returns. It may keep bytes back and give
 * them to `connection.toServer` or `toClient` later, and it may cut the connection from within.
 */
export interface Tap {
  onUpstream?(chunk: Buffer): Buffer;
  onDownstream?(chunk: Buffer): Buffer;
  onClosed?(): void;
}

/** The faults of one direction, all off. */
export class DirectionFaults {
  /** Every chunk is that late; order is kept. */
  delayMs = 0;
  /** Larger chunks are written in pieces of at most this size, each in a turn of the event loop of its own. */
  pieceBytes = 0;
  /** Chunks that come within this time are written as one. */
  coalesceMs = 0;
  /** Of the payload, over all connections together. 0: no limit. */
  bytesPerSecond = 0;
  /** So many further bytes go through, then `cut` happens to the connection that carries the next one. */
  cutAfterBytes: number | null = null;
  cut: 'reset' | 'halfClose' = 'reset';
  #isBlackHole = false;
  #spentMs = 0;
  readonly #waiting: (() => void)[] = [];

  get isBlackHole(): boolean {
    return this.#isBlackHole;
  }

  /** Bytes that were swallowed come through when the hole closes, as after a routing trouble: TCP sends again. */
  setBlackHole(isOn: boolean): void {
    this.#isBlackHole = isOn;
    if (!isOn) for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves at once, or when the hole has closed. */
  async passable(): Promise<void> {
    while (this.#isBlackHole) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Takes the time that so many bytes take. */
  async spend(bytes: number): Promise<void> {
    if (this.bytesPerSecond === 0) return;
    const nowMs = performance.now();
    this.#spentMs = Math.max(this.#spentMs, nowMs) + (bytes / this.bytesPerSecond) * 1000;
    await sleep(this.#spentMs - nowMs);
  }
}

/** A client's connection and ours to the server, tied together. */
export class ProxiedConnection {
  /** Connections of a proxy are numbered from 1. */
  readonly number: number;
  readonly toServer: Pipe;
  readonly toClient: Pipe;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #closed: (() => void)[] = [];
  #openCount = 2;

  constructor(proxy: FaultProxy, client: Socket, target: Target, number: number) {
    this.number = number;
    this.#client = client;
    this.#server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.toServer = new Pipe(this.#server, proxy.upstream, this);
    this.toClient = new Pipe(this.#client, proxy.downstream, this);
    const tap = proxy.tap?.(this) ?? {};
    this.#carry(this.#client, this.toServer, (chunk) => tap.onUpstream?.(chunk) ?? chunk);
    this.#carry(this.#server, this.toClient, (chunk) => tap.onDownstream?.(chunk) ?? chunk);
    this.onClosed(() => tap.onClosed?.());
  }

  onClosed(then: () => void): void {
    this.#closed.push(then);
  }

  /** RST to both. */
  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  /** RST to the client; the server gets what was written, then an end, as when the client's host is cut off. */
  resetClient(): void {
    this.#client.resetAndDestroy();
    this.toServer.end();
  }

  /** RST to the server only. */
  resetServer(): void {
    this.#server.resetAndDestroy();
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #carry(from: Socket, to: Pipe, tap: (chunk: Buffer) => Buffer): void {
    from.on('data', (chunk: Buffer) => {
      const forwarded = tap(chunk);
      if (forwarded.length === 0) return;
      // A proxy that reads without end would hide from the sender that the receiver is slow.
      if (to.write(forwarded)) return;
      from.pause();
      void to.drained().then(() => from.resume());
    });
    from.on('end', () => to.end());
    const other = from === this.#client ? this.#server : this.#client;
    from.on('error', () => {
      // A reset goes on as a reset; in a black hole not even that.
      if (!to.isBlackHole) other.resetAndDestroy();
    });
    from.on('close', () => {
      if (!from.readableEnded) to.end();
      this.#openCount -= 1;
      if (this.#openCount === 0) for (const then of this.#closed.splice(0)) then();
    });
  }
}

/** One direction of one connection: applies the proxy's faults to what is written, in order. */
export class Pipe {
  readonly #to: Socket;
  readonly #faults: DirectionFaults;
  readonly #connection: ProxiedConnection;
  readonly #queue: Written[] = [];
  readonly #drained: (() => void)[] = [];
  #queuedBytes = 0;
  #isBusy = false;
  #isEnding = false;

  constructor(to: Socket, faults: DirectionFaults, connection: ProxiedConnection) {
    this.#to = to;
    this.#faults = faults;
    this.#connection = connection;
  }

  get isBlackHole(): boolean {
    return this.#faults.isBlackHole;
  }

  /** Returns false when the writer should wait for `drained`. */
  write(chunk: Buffer): boolean {
    this.#queue.push({ chunk, atMs: performance.now() });
    this.#queuedBytes += chunk.length;
    if (!this.#isBusy) void this.#run();
    return this.#queuedBytes < QUEUED_BYTES_MAX;
  }

  /** Resolves when there is room again. */
  drained(): Promise<void> {
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Resolves when everything written so far has been handed to the kernel. */
  async flushed(): Promise<void> {
    while (this.#isBusy && !this.#to.destroyed) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Half-close, once everything written has gone out. */
  end(): void {
    this.#isEnding = true;
    if (!this.#isBusy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    for (;;) {
      const written = this.#queue.shift();
      if (written === undefined) break;
      const faults = this.#faults;
      if (faults.delayMs > 0) await sleep(written.atMs + faults.delayMs - performance.now());
      if (faults.coalesceMs > 0) await sleep(faults.coalesceMs);
      const chunk = faults.coalesceMs > 0 ? this.#takeAll(written.chunk) : written.chunk;
      const pieceBytes = faults.pieceBytes > 0 ? faults.pieceBytes : chunk.length;
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes);
        if (faults.isBlackHole) await faults.passable();
        await faults.spend(piece.length);
        if (!(await this.#send(piece))) return;
        if (faults.pieceBytes > 0) await new Promise((resolve) => setImmediate(resolve));
      }
      this.#queuedBytes -= chunk.length;
      if (this.#queuedBytes < QUEUED_BYTES_MAX / 2) for (const resume of this.#drained.splice(0)) resume();
    }
    this.#isBusy = false;
    if (!this.#isEnding) return;
    await this.#faults.passable();
    if (!this.#to.destroyed) this.#to.end();
  }

  #takeAll(first: Buffer): Buffer {
    return Buffer.concat([first, ...this.#queue.splice(0).map((written) => written.chunk)]);
  }

  /** False when the connection was cut instead. */
  async #send(piece: Buffer): Promise<boolean> {
    const faults = this.#faults;
    let bytes = piece;
    const left = faults.cutAfterBytes;
    const isCut = left !== null && left < piece.length;
    if (left !== null) {
      bytes = piece.subarray(0, left);
      faults.cutAfterBytes = isCut ? null : left - bytes.length;
    }
    if (bytes.length > 0 && !this.#to.destroyed && !this.#to.writableEnded && !this.#to.write(bytes)) {
      await new Promise<void>((resolve) => {
        const goOn = (): void => {
          this.#to.off('drain', goOn).off('close', goOn);
          resolve();
        };
        this.#to.on('drain', goOn).on('close', goOn);
      });
    }
    if (!isCut) return true;
    if (faults.cut === 'halfClose') this.#to.end();
    else this.#connection.reset();
    return false;
  }
}

interface Target {
  readonly host: string;
  readonly port: number;
}

interface Written {
  readonly chunk: Buffer;
  readonly atMs: number;
}

function targetOf(url: string): Target {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}

const QUEUED_BYTES_MAX = 1024 * 1024;
