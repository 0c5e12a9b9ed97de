import { describe, expect, test } from 'vitest';
import {
  findPostgresTlsFault,
  findTlsParameterFault,
  postgresTls,
} from '../../../src/config/postgres-tls.ts';

const NONE = { postgresCaFile: 'none', postgresCertFile: 'none', postgresKeyFile: 'none' };
const CA = { ...NONE, postgresCaFile: '/ca.crt' };
const at = (query: string) => `postgres://me:pw%40@db/shop?${query}`;

function verificationOf(query: string, settings = NONE): string {
  const { plan } = postgresTls(at(query), settings);
  return typeof plan === 'string' ? plan : plan.verification;
}

describe('what a URL asks for', () => {
  test.each([
    ['', 'unsaid'],
    ['application_name=x', 'unsaid'],
    ['sslmode=disable', 'off'],
    ['ssl=false', 'off'],
    ['ssl=0', 'off'],
    ['sslmode=allow', 'verify-full'],
    ['sslmode=prefer', 'verify-full'],
    ['sslmode=require', 'verify-full'],
    ['sslmode=verify-full', 'verify-full'],
    ['ssl=true', 'verify-full'],
    ['ssl=1', 'verify-full'],
    ['sslrootcert=/ca.crt', 'verify-full'],
    ['sslrootcert=system', 'verify-full'],
    ['sslnegotiation=direct', 'verify-full'],
    ['sslmode=verify-ca&sslrootcert=/ca.crt', 'verify-ca'],
    ['sslmode=no-verify', 'no-verify'],
    ['ssl=no-verify', 'no-verify'],
    // As for every program that reads parameters: the last one counts.
    ['sslmode=disable&sslmode=require', 'verify-full'],
    ['ssl=false&sslmode=require', 'verify-full'],
  ])('%s means %s', (query, expected) => {
    expect(verificationOf(query)).toBe(expected);
  });

  test('a setting that names certificates asks for verify-full as well', () => {
    expect(verificationOf('', CA)).toBe('verify-full');
    expect(verificationOf('sslmode=no-verify', CA)).toBe('no-verify');
  });

  test('the driver is given a URL without any of it, and otherwise as it was', () => {
    const url = at('sslmode=require&sslrootcert=/ca&ssl=true&channel_binding=require&options=-c%20x%3D1');
    const given = new URL(postgresTls(url, NONE).url);
    expect([...given.searchParams]).toEqual([['options', '-c x=1']]);
    expect(given.password).toBe('pw%40');
    expect(postgresTls(at('a=%20b'), NONE).url).toBe(at('a=%20b'));
  });

  test('a file named in the URL comes before one of the settings', () => {
    const { plan } = postgresTls(at('sslrootcert=/url.crt'), CA);
    expect(plan).toMatchObject({ ca: { path: '/url.crt', namedBy: 'sslrootcert of DATABASE_URL' } });
    expect(postgresTls(at('sslrootcert=system'), CA).plan).toMatchObject({ ca: undefined });
  });

  test('the log-in is bound to the connection, unless that is not wanted', () => {
    expect(postgresTls(at('sslmode=require'), NONE).isBound).toBe(true);
    expect(postgresTls(at('sslmode=require&channel_binding=disable'), NONE).isBound).toBe(false);
  });
});

describe('refused', () => {
  test.each([
    'sslmode=on',
    'sslmode=',
    'sslmode=VERIFY-FULL',
    'ssl=yes',
    'uselibpqcompat=true&sslmode=require',
    'sslcrl=/crl',
    'ssl_min_protocol_version=TLSv1',
    'requiressl=1',
    'channel_binding=maybe',
    'channel_binding=require&sslmode=disable',
    'channel_binding=require&sslmode=no-verify',
  ])('%s', (query) => {
    expect(findTlsParameterFault(new URL(at(query)))).toEqual(expect.any(String));
  });

  test.each([
    ['sslmode=verify-ca', NONE],
    ['sslmode=disable', CA],
    ['sslcert=/a.crt', NONE],
    ['sslkey=/a.key', NONE],
    ['', { ...NONE, postgresKeyFile: '/a.key' }],
  ])('%s with settings that do not fit', (query, settings) => {
    expect(findTlsParameterFault(new URL(at(query)))).toBeUndefined();
    expect(findPostgresTlsFault(at(query), settings)).toEqual(expect.any(String));
  });
});
