import { EventEmitter, once } from 'node:events';
import { Agent, get } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { type HttpRoutes, type HttpServer, startHttpServer } from '../../../src/ops/http-server.ts';

const ROUTES: HttpRoutes = {
  livez: () => ({ ok: true, body: { phase: 'streaming' } }),
  readyz: () => ({ ok: false, body: { reason: 'backoff' } }),
  metrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'walrelay_paused 0\n' }),
};

const open: HttpServer[] = [];

async function start(routes: Partial<HttpRoutes> = {}): Promise<HttpServer> {
  const server = await startHttpServer({ host: '127.0.0.1', port: 0, routes: { ...ROUTES, ...routes } });
  open.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

describe('answers', () => {
  test.each([
    ['/', 200, 'text/plain; charset=utf-8', /\/readyz/],
    ['/livez', 200, 'application/json', /^\{"phase":"streaming"\}\n$/],
    ['/readyz?verbose', 503, 'application/json', /^\{"reason":"backoff"\}\n$/],
    ['/metrics', 200, 'text/plain; version=0.0.4', /^walrelay_paused 0\n$/],
    ['/nothing', 404, 'text/plain; charset=utf-8', /not found/],
  ])('GET %s', async (path, status, contentType, body) => {
    const { url } = await start();
    const response = await fetch(url + path);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe(contentType);
    expect(await response.text()).toMatch(body);
  });

  test('HEAD has the status and the length, and no body', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/readyz`, { method: 'HEAD' });
    expect(response.status).toBe(503);
    expect(response.headers.get('content-length')).toBe('21');
    expect(await response.text()).toBe('');
  });

  test('any other method is refused', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/livez`, { method: 'POST', body: 'x' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  test('a route that throws answers 500 and the server goes on', async () => {
    const { url } = await start({
      livez: () => {
        throw new Error('no state yet');
      },
      metrics: async () => {
        throw new Error('no metrics');
      },
    });
    expect((await fetch(`${url}/livez`)).status).toBe(500);
    expect((await fetch(`${url}/metrics`)).status).toBe(500);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
  });
});

test('a port in use is a matter of configuration, and the fix is named', async () => {
  const { port } = await start();
  await expect(startHttpServer({ host: '127.0.0.1', port, routes: ROUTES })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: `port ${port} on 127.0.0.1 is in use`,
    hint: expect.stringContaining('WALRELAY_HTTP_PORT'),
  });
});

test('an address of another machine is a matter of configuration too', async () => {
  await expect(startHttpServer({ host: '192.0.2.1', port: 0, routes: ROUTES })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    hint: expect.stringContaining('WALRELAY_HTTP_HOST'),
  });
});

test('closing ends connections that are only kept alive', async () => {
  const server = await start();
  const agent = new Agent({ keepAlive: true });
  await new Promise<void>((resolve, reject) => {
    get(`${server.url}/livez`, { agent }, (response) => response.resume().on('end', resolve)).on(
      'error',
      reject,
    );
  });
  await server.close();
  agent.destroy();
  await expect(fetch(server.url)).rejects.toThrow('fetch failed');
});

test('closing does not wait for ever for an answer that never comes', async () => {
  const asked = new EventEmitter();
  const server = await start({
    metrics: () => {
      asked.emit('asked');
      return new Promise(() => undefined);
    },
  });
  const isAsked = once(asked, 'asked');
  const answer = fetch(`${server.url}/metrics`);
  await isAsked;
  await Promise.all([server.close(), expect(answer).rejects.toThrow('fetch failed')]);
});
