import { randomBytes } from 'node:crypto';
import { describeSettings } from '../../src/config/describe-settings.ts';

/** Where the demo plays: the two servers, and the names it uses on them. */
export interface DemoPlace {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Of everything made on a server that is not ours; null on servers that are thrown away. */
  readonly name: string | null;
  readonly schema: string;
  readonly slot: string;
  readonly publication: string;
  readonly metaKey: string;
  /** In front of each stream's name. */
  readonly keyPrefix: string;
}

/** The kinds of things that the shop tells of; each has a stream. */
export const AGGREGATES = ['order', 'parcel'] as const;

interface Urls {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export function streamNames(place: DemoPlace): string[] {
  return AGGREGATES.map((aggregate) => `${place.keyPrefix}outbox.${aggregate}`);
}

/** On throw-away servers: the names that everybody has. */
export function defaultPlace(urls: Urls): DemoPlace {
  return {
    ...urls,
    name: null,
    schema: 'public',
    slot: 'walrelay',
    publication: 'walrelay',
    metaKey: 'walrelay:walrelay',
    keyPrefix: '',
  };
}

/** Random, so that two demos on one server leave each other alone. */
export function newDemoName(): string {
  return `walrelay_demo_${randomBytes(3).toString('hex')}`;
}

export function isDemoName(name: string): boolean {
  return /^walrelay_demo_[0-9a-f]{6}$/.test(name);
}

export function placeNamed(name: string, urls: Urls): DemoPlace {
  return {
    ...urls,
    name,
    schema: name,
    slot: name,
    publication: name,
    metaKey: `${name}:lane`,
    keyPrefix: `${name}:`,
  };
}

/**
 * The environment of the real CLI. Of the person's own WALRELAY_ variables only limits and timing apply: names,
 * columns and URLs of another relay would break the demo, or the other relay.
 */
export function relayEnvironment(
  place: DemoPlace,
  inherited: Readonly<Record<string, string | undefined>>,
): { readonly env: Record<string, string>; readonly ignored: readonly string[] } {
  const rows = describeSettings();
  const welcome = new Set(
    rows.filter(({ group }) => group === 'limits' || group === 'timing').map(({ env }) => env),
  );
  const secretFiles = new Set(rows.map(({ envFile }) => envFile));
  const env: Record<string, string> = {};
  const ignored: string[] = [];
  for (const [name, value] of Object.entries(inherited)) {
    if (value === undefined || value === '') continue;
    if ((name.startsWith('WALRELAY_') && !welcome.has(name)) || secretFiles.has(name)) ignored.push(name);
    else env[name] = value;
  }
  const own = {
    DATABASE_URL: place.databaseUrl,
    REDIS_URL: place.redisUrl,
    WALRELAY_TABLE: `${place.schema}.outbox`,
    WALRELAY_SLOT: place.slot,
    WALRELAY_PUBLICATION: place.publication,
    WALRELAY_META_KEY: place.metaKey,
    WALRELAY_STREAM: `${place.keyPrefix}outbox.\${aggregatetype}`,
    WALRELAY_HTTP_PORT: '0',
    WALRELAY_LOG_LEVEL: 'warn',
  };
  return { env: { ...env, ...own }, ignored };
}
