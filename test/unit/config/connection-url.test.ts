import { expect, test } from 'vitest';
import { postgresUrl, redisUrl } from '../../../src/config/connection-url.ts';

test.each([
  'postgres://app:secret@db:5432/orders',
  'postgresql://db/orders?sslmode=verify-full',
  'postgres:///orders?host=/var/run/postgresql',
  'postgres://app:p%40ss@[::1]/orders',
])('Postgres: %s', (url) => {
  expect(postgresUrl().schema.safeParse(url).success).toBe(true);
});

test.each([
  ['postgres://app:p#w@db/orders', /write % as %25/],
  ['postgres://app:p%w@db/orders', /write % as %25/],
  ['mysql://db/orders', /begin with postgres:\/\/ or postgresql:\/\//],
  ['postgres://db/or ders', /white space/],
  ['db', /begin with/],
])('not Postgres: %s', (url, reason) => {
  expect(postgresUrl().schema.safeParse(url).error?.issues[0]?.message).toMatch(reason);
});

test.each(['redis://redis', 'rediss://u:p@redis:6380/3', 'redis://redis:6379/'])('Redis: %s', (url) => {
  expect(redisUrl().schema.safeParse(url).success).toBe(true);
});

test.each([
  ['redis:///0', /no host/],
  ['redis://redis/orders', /database number/],
  ['redis:redis', /begin with/],
])('not Redis: %s', (url, reason) => {
  expect(redisUrl().schema.safeParse(url).error?.issues[0]?.message).toMatch(reason);
});
