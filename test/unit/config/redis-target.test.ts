import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { parseHostPorts } from '../../../src/config/host-ports.ts';
import { redisTarget } from '../../../src/config/redis-target.ts';

test('nodes are read in order, an IPv6 address in brackets', () => {
  expect(parseHostPorts('a:1, b.example:65535,[::1]:7000')).toEqual([
    { host: 'a', port: 1 },
    { host: 'b.example', port: 65_535 },
    { host: '::1', port: 7000 },
  ]);
  expect(parseHostPorts('none')).toEqual([]);
});

test.each(['', 'a', 'a:', ':1', 'a:0', 'a:65536', 'a:1,', 'redis://a:1', 'user@a:1', 'a b:1', '::1:7000'])(
  '%j names no node',
  (text) => {
    expect(parseHostPorts(text)).toBeUndefined();
  },
);

test('the host of the URL is asked first, then the other nodes', () => {
  const settings = loadSettings({
    env: {
      DATABASE_URL: 'postgres://p',
      REDIS_URL: 'redis://:secret@[::1]:7001/0',
      WALRELAY_REDIS_MODE: 'cluster',
      WALRELAY_REDIS_NODES: 'b:2',
    },
    flags: {},
    readFile: () => '',
  });
  expect(redisTarget(settings)).toMatchObject({
    mode: 'cluster',
    seeds: [
      { host: '::1', port: 7001 },
      { host: 'b', port: 2 },
    ],
    sentinelPassword: undefined,
  });
});
