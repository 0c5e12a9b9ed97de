import { createServer, type Server, type Socket } from 'node:net';

/** Answers the first bytes of every connection as it is told, and keeps all that clients send. */
export class RefusingTls implements AsyncDisposable {
  readonly port: number;
  /** Of each connection. */
  readonly received: Buffer[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(answer: string): Promise<RefusingTls> {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    const refusing = new RefusingTls(server, port);
    server.on('connection', (socket) => {
      refusing.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(answer));
      const index = refusing.received.push(Buffer.alloc(0)) - 1;
      socket.on('data', (bytes) => {
        refusing.received[index] = Buffer.concat([refusing.received[index] as Buffer, bytes]);
      });
    });
    return refusing;
  }

  /** `url` with this server in place of the one that it names. */
  url(url: string): string {
    const changed = new URL(url);
    changed.host = `127.0.0.1:${this.port}`;
    return changed.href;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
