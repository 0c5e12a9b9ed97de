import { expect, test } from 'vitest';
import { findRedisTlsFault, redisTls } from '../../../src/config/redis-tls.ts';

const NONE = {
  redisTls: 'verify-full',
  redisCaFile: 'none',
  redisCertFile: 'none',
  redisKeyFile: 'none',
} as const;

test.each([
  ['redis://h', null],
  ['REDIS://h', null],
  ['rediss://h', 'verify-full'],
  ['REDISS://h', 'verify-full'],
  ['Rediss://h', 'verify-full'],
])('the scheme of %s asks for %s', (url, verification) => {
  expect(redisTls(url, NONE)?.verification ?? null).toBe(verification);
});

test('certificates without rediss://, and verify-ca without an authority, do not fit together', () => {
  expect(findRedisTlsFault('redis://h', NONE)).toBeUndefined();
  expect(findRedisTlsFault('redis://h', { ...NONE, redisCaFile: '/ca' })).toContain('rediss://');
  expect(findRedisTlsFault('rediss://h', { ...NONE, redisTls: 'verify-ca' })).toContain('verify-ca');
  expect(
    findRedisTlsFault('rediss://h', { ...NONE, redisTls: 'verify-ca', redisCaFile: '/ca' }),
  ).toBeUndefined();
  expect(findRedisTlsFault('rediss://h', { ...NONE, redisCertFile: '/c' })).toContain('key');
});
