import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type { CertificateFiles } from './certificates.ts';

const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');

/** Stands between a client and Postgres with a certificate of its own: ends the TLS of the one, begins that of the other. */
export class TlsImpostor implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
  }

  static async start(targetPort: number, files: CertificateFiles): Promise<TlsImpostor> {
    const [cert, key] = [readFileSync(files.cert), readFileSync(files.key)];
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const impostor = new TlsImpostor(server);
    server.on('connection', (client) => {
      const upstream = connect(targetPort, '127.0.0.1');
      impostor.#keep(client, upstream);
      client.once('data', () => upstream.write(SSL_REQUEST));
      upstream.once('data', () => {
        client.write('S');
        const inside = new TLSSocket(client, { isServer: true, cert, key });
        const outside = connectTls({ socket: upstream, rejectUnauthorized: false });
        impostor.#keep(inside, outside);
        inside.pipe(outside).pipe(inside);
      });
    });
    return impostor;
  }

  url(url: string): string {
    const changed = new URL(url);
    changed.host = `127.0.0.1:${this.port}`;
    return changed.href;
  }

  #keep(...sockets: Socket[]): void {
    for (const socket of sockets) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        for (const other of sockets) other.destroy();
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
