import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WalrelayError } from '../core/walrelay-error.ts';
import { redactCredentials } from './redact-credentials.ts';

const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 5000;
/** Probes and one or two Prometheus servers; the limit keeps a scanner from taking file descriptors. */
const CONNECTIONS_MAX = 128;
const CLOSE_GRACE_MS = 1000;

export interface HealthReport {
  readonly ok: boolean;
  readonly body: object;
}

export interface HttpRoutes {
  livez(): HealthReport;
  readyz(): HealthReport;
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
}

export interface HttpServer {
  readonly url: string;
  readonly port: number;
  /** Answers what is being answered, ends every connection, at the latest after a second. */
  close(): Promise<void>;
}

/** Listens before it returns. Throws CONFIG_INVALID when it can't have the address. */
export async function startHttpServer(options: {
  host: string;
  port: number;
  routes: HttpRoutes;
}): Promise<HttpServer> {
  const { host, port, routes } = options;
  const server = createServer({ connectionsCheckingInterval: 1000 }, (request, response) => {
    // A client that went away while it was answered is no concern of the relay.
    response.on('error', () => undefined);
    void answer(request, routes).then((reply) =>
      send({ request, response, reply, isClosing: !server.listening }),
    );
  });
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.maxConnections = CONNECTIONS_MAX;

  await listen(server, { host, port });
  // From here on an error is one connection that could not be accepted (EMFILE); the relay goes on without it.
  server.on('error', () => undefined);

  const address = server.address() as AddressInfo;
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return { url: `http://${shownHost}:${address.port}`, port: address.port, close: () => close(server) };
}

interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

const TEXT = 'text/plain; charset=utf-8';
const INDEX = `Walrelay: a Postgres outbox relayed to Redis Streams

/livez    200 while the relay makes progress, 503 when it is stuck
/readyz   200 while it streams (run) or polls (poll), 503 otherwise (a standby too)
/metrics  for Prometheus
`;

/** Never rejects: a probe must learn of a failure, and a rejection here would end the daemon. */
async function answer(request: IncomingMessage, routes: HttpRoutes): Promise<Reply> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, contentType: TEXT, text: 'only GET and HEAD\n' };
  }
  const path = request.url?.split('?')[0] ?? '/';
  try {
    switch (path) {
      case '/':
        return { status: 200, contentType: TEXT, text: INDEX };
      case '/livez':
        return health(routes.livez());
      case '/readyz':
        return health(routes.readyz());
      case '/metrics':
        return { status: 200, ...(await routes.metrics()) };
      default:
        return { status: 404, contentType: TEXT, text: 'not found; / lists what there is\n' };
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { status: 500, contentType: TEXT, text: `${redactCredentials(message)}\n` };
  }
}

function health({ ok, body }: HealthReport): Reply {
  return { status: ok ? 200 : 503, contentType: 'application/json', text: `${JSON.stringify(body)}\n` };
}

function send(options: {
  request: IncomingMessage;
  response: ServerResponse;
  reply: Reply;
  isClosing: boolean;
}): void {
  const { request, response, reply, isClosing } = options;
  const body = Buffer.from(reply.text);
  response.writeHead(reply.status, {
    'content-type': reply.contentType,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(reply.status === 405 ? { allow: 'GET, HEAD' } : {}),
    ...(isClosing ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => reject(cannotListen(error, { host, port }));
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

function cannotListen(
  error: NodeJS.ErrnoException,
  { host, port }: { host: string; port: number },
): WalrelayError {
  const facts = { host, port };
  switch (error.code ?? '') {
    case 'EADDRINUSE':
      return new WalrelayError('CONFIG_INVALID', `port ${port} on ${host} is in use`, {
        hint: 'Set WALRELAY_HTTP_PORT to a free port, to 0 for any, or to off for no HTTP server.',
        facts,
        cause: error,
      });
    case 'EACCES':
      return new WalrelayError('CONFIG_INVALID', `not allowed to listen on port ${port}`, {
        hint: 'Set WALRELAY_HTTP_PORT to 1024 or above, or to off.',
        facts,
        cause: error,
      });
    default:
      return new WalrelayError('CONFIG_INVALID', `can't listen on ${host} (${error.code ?? error.message})`, {
        hint: 'Set WALRELAY_HTTP_HOST to an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them.',
        facts,
        cause: error,
      });
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const hardStop = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    // The callback's only error is that the server is closed already.
    server.close(() => {
      clearTimeout(hardStop);
      resolve();
    });
    server.closeIdleConnections();
  });
}
