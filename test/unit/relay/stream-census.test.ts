import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import type { EventRouter } from '../../../src/route/outbox.ts';
import { relayShape } from '../../../src/relay/relay-shape.ts';
import { openCensus, StreamCensus } from '../../../src/relay/stream-census.ts';
import type { RedisNodes } from '../../../src/sink/redis-nodes.ts';

function censusOf(max: number, known: string[] = []) {
  const noted: string[] = [];
  const warnings: string[] = [];
  const census = new StreamCensus(max, new Set(known), {
    note: async (name) => {
      noted.push(name);
    },
    warnOnce: (warning) => warnings.push(warning),
  });
  return { census, noted, warnings };
}

function codeOf(act: () => void): string | null {
  try {
    act();
  } catch (error) {
    return error instanceof WalrelayError ? error.code : String(error);
  }
  return null;
}

test('a name is remembered once, and one too many is refused while the known ones go on', () => {
  const { census, noted } = censusOf(3, ['a']);
  for (const name of ['a', 'b', 'b', 'c', 'a']) census.admit(name);
  expect(codeOf(() => census.admit('d'))).toBe('EVENT_STREAM_LIMIT');
  expect(codeOf(() => census.admit('d'))).toBe('EVENT_STREAM_LIMIT');
  census.admit('a');
  census.admit('c');
  expect(noted).toEqual(['b', 'c']);
});

test('where more are known than may be, they all go on', () => {
  const { census, noted } = censusOf(2, ['a', 'b', 'c']);
  for (const name of ['a', 'b', 'c']) census.admit(name);
  expect(codeOf(() => census.admit('d'))).toBe('EVENT_STREAM_LIMIT');
  expect(noted).toEqual([]);
});

test('that it comes to the limit is told ahead', () => {
  const { census, warnings } = censusOf(10, ['1', '2', '3', '4', '5', '6', '7']);
  census.admit('8');
  expect(warnings).toEqual([]);
  census.admit('9');
  expect(warnings[0]).toContain('WALRELAY_STREAMS_MAX=10');
});

test('a name that can not be remembered ends the session with the reason', async () => {
  const reason = new WalrelayError('REDIS_FULL', 'x');
  const census = new StreamCensus(5, new Set(), { note: () => Promise.reject(reason), warnOnce: () => {} });
  census.admit('a');
  expect(await census.failed).toBe(reason);
});

function settingsOf(yaml: string) {
  return loadSettings({
    env: { DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://r' },
    flags: {},
    configFile: 'w.yaml',
    readFile: () => yaml,
  });
}

test.each([
  ['stream: orders', false],
  ['stream: orders.{${partition}}\npartitions: 4', false],
  ['stream: orders.${type}', true],
  ['stream: orders\nroutes: [{ when: { type: x }, stream: "o.${type}" }]', true],
  ['stream: orders.${type}\nstreamsMax: 0', false],
])('%s: whether streams are counted is %s', async (yaml, isCounted) => {
  const settings = settingsOf(yaml);
  const redis = { nodeOf: () => ({ writer: { command: async () => ['orders.a', ''] } }) };
  const options = { settings, shape: relayShape(settings), warnOnce: () => {} };
  const census = await openCensus(options, redis as unknown as RedisNodes);
  expect(census !== null).toBe(isCounted);
});

test('only names from data are asked about: constants and partitions always pass', () => {
  const settings = settingsOf(
    'outboxes:\n  - { table: a, stream: a }\n  - { table: b, stream: "b.${partition}", partitions: 4 }\n  - { table: c, stream: "c.${type}" }',
  );
  const { census, noted } = censusOf(1);
  const routers = relayShape(settings).createRouters({ admit: (name) => census.admit(name) });
  const values = ['1', 'x', 'kind', 'O-1', '{}'].map((text) => Buffer.from(text));
  const lengths = Int32Array.from(values.map(({ length }) => length));
  const route = (router: EventRouter) => {
    let at = 0;
    const starts = Int32Array.from(values.map(({ length }) => (at += length) - length));
    return router.route(Buffer.concat(values), starts, lengths)?.name;
  };
  expect(routers.map(route)).toEqual(['a', expect.stringMatching(/^b\.[0-3]$/), 'c.x']);
  expect(noted).toEqual(['c.x']);
  values[1] = Buffer.from('y');
  expect(routers.slice(0, 2).map(route)).toHaveLength(2);
  expect(codeOf(() => route(routers[2] as EventRouter))).toBe('EVENT_STREAM_LIMIT');
});
