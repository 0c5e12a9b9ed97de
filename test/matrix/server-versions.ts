import { POSTGRES_FLAVOURS, type PostgresFlavour } from '../../dev/servers/postgres-flavour.ts';
import { REDIS_FLAVOURS, type RedisFlavour } from '../../dev/servers/redis-flavour.ts';

/** A Postgres and a Redis that the relay is run between. */
export interface Pair {
  readonly postgres: PostgresFlavour;
  readonly redis: RedisFlavour;
}

/** What the tests and the demo run on, and so what all the others are paired with. */
export const DEFAULT_PAIR: Pair = { postgres: 17, redis: 'redis-7.0' };

/**
 * The Postgres side and the Redis side of the relay share nothing but the events, so a version of one hardly cares which
 * version of the other there is. Hence each version of each with the default of the other, and the corners: oldest and newest
 * with oldest and newest. `isFull` takes every pair.
 */
export function choosePairs(
  postgres: readonly PostgresFlavour[],
  redis: readonly RedisFlavour[],
  isFull: boolean,
): Pair[] {
  const corners = {
    postgres: [postgres.at(0), postgres.at(-1)],
    redis: [redis.at(0), redis.at(-1)],
  };
  const [hubPostgres, hubRedis] = [
    postgres.includes(DEFAULT_PAIR.postgres) ? DEFAULT_PAIR.postgres : postgres.at(-1),
    redis.includes(DEFAULT_PAIR.redis) ? DEFAULT_PAIR.redis : redis.at(-1),
  ];
  return postgres.flatMap((version) =>
    redis
      .filter(
        (flavour) =>
          isFull ||
          version === hubPostgres ||
          flavour === hubRedis ||
          (corners.postgres.includes(version) && corners.redis.includes(flavour)),
      )
      .map((flavour) => ({ postgres: version, redis: flavour })),
  );
}

/** `15,17`; undefined takes all. Throws the words for whoever typed it. */
export function parsePostgresList(text: string | undefined): readonly PostgresFlavour[] {
  return parseList(text, POSTGRES_FLAVOURS, 'PostgreSQL');
}

/** `7.0,valkey-8`: the name of Redis itself may be left out. */
export function parseRedisList(text: string | undefined): readonly RedisFlavour[] {
  return parseList(text, REDIS_FLAVOURS, 'Redis', (name) => `redis-${name}`);
}

function parseList<Version extends string | number>(
  text: string | undefined,
  known: readonly Version[],
  what: string,
  longName: (name: string) => string = (name) => name,
): readonly Version[] {
  if (text === undefined) return known;
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const isNamed = (version: Version, name: string) =>
    String(version) === name || String(version) === longName(name);
  const unknown = names.filter((name) => !known.some((version) => isNamed(version, name)));
  if (unknown.length > 0 || names.length === 0)
    throw new RangeError(`no such ${what}: ${unknown.join(', ')}; there are ${known.join(', ')}`);
  return known.filter((version) => names.some((name) => isNamed(version, name)));
}
