import { describe, expect, test } from 'vitest';
import { POSTGRES_FLAVOURS } from '../../../dev/servers/postgres-flavour.ts';
import { REDIS_FLAVOURS } from '../../../dev/servers/redis-flavour.ts';
import { choosePairs, parsePostgresList, parseRedisList } from '../../matrix/server-versions.ts';

describe('pairs', () => {
  const pairs = choosePairs(POSTGRES_FLAVOURS, REDIS_FLAVOURS, false);
  const has = (postgres: number, redis: string) =>
    pairs.some((pair) => pair.postgres === postgres && pair.redis === redis);

  test('hold every version of each side with the default of the other, and the corners, and no more', () => {
    for (const version of POSTGRES_FLAVOURS) expect(has(version, 'redis-7.0')).toBe(true);
    for (const flavour of REDIS_FLAVOURS) expect(has(17, flavour)).toBe(true);
    const corners = [has(14, 'redis-6.2'), has(14, 'valkey-9'), has(18, 'redis-6.2'), has(18, 'valkey-9')];
    expect(corners).toEqual([true, true, true, true]);
    expect(has(15, 'valkey-8')).toBe(false);
    expect(pairs).toHaveLength(POSTGRES_FLAVOURS.length + REDIS_FLAVOURS.length - 1 + 4);
  });

  test('are all of them when asked, and the whole of a small selection without being asked', () => {
    expect(choosePairs(POSTGRES_FLAVOURS, REDIS_FLAVOURS, true)).toHaveLength(
      POSTGRES_FLAVOURS.length * REDIS_FLAVOURS.length,
    );
    expect(choosePairs([15, 16], ['valkey-8', 'redis-8'], false)).toHaveLength(4);
  });
});

describe('a list of versions', () => {
  test('comes in the order of the versions, and the name of Redis may be left out', () => {
    expect(parsePostgresList('17, 15')).toEqual([15, 17]);
    expect(parseRedisList('valkey-8,7.0')).toEqual(['redis-7.0', 'valkey-8']);
    expect(parsePostgresList(undefined)).toEqual([14, 15, 16, 17, 18]);
  });

  test('with a name that there is not, or none, is refused and says what there is', () => {
    expect(() => parsePostgresList('13,17')).toThrow('no such PostgreSQL: 13; there are 14, 15, 16, 17, 18');
    expect(() => parseRedisList('valkey')).toThrow('no such Redis: valkey');
    expect(() => parsePostgresList(' , ')).toThrow(RangeError);
  });
});
