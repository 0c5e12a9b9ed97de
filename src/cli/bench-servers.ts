import type { Command } from 'commander';
import { CONFIG_FILE } from '../config/describe-settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Checkout } from './bench-checkout.ts';
import { commandSettings } from './command-settings.ts';

export interface BenchServers extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly descriptions: readonly string[];
}

/** The servers of the settings; with neither of them given, those that a checkout starts. */
export async function benchServers(command: Command, checkout: Checkout | undefined): Promise<BenchServers> {
  if (isAnyGiven(command)) {
    const { databaseUrl, redisUrl } = commandSettings(command);
    return {
      databaseUrl: withoutApplicationName(databaseUrl),
      redisUrl,
      descriptions: [],
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  if (checkout === undefined) {
    throw new WalrelayError('CONFIG_INVALID', 'DATABASE_URL and REDIS_URL are not set', {
      hint: 'Set DATABASE_URL and REDIS_URL (or --database-url and --redis-url): the servers to measure on.',
    });
  }
  const servers = await checkout.startServers();
  return { ...servers, [Symbol.asyncDispose]: async () => await servers.dispose() };
}

function isAnyGiven(command: Command): boolean {
  const flags = command.opts<Record<string, unknown>>();
  const named = ['DATABASE_URL', 'DATABASE_URL_FILE', 'REDIS_URL', 'REDIS_URL_FILE', CONFIG_FILE.env];
  return (
    ['databaseUrl', 'redisUrl', CONFIG_FILE.flag].some((key) => flags[key] !== undefined) ||
    named.some((name) => (process.env[name] ?? '') !== '')
  );
}

/** In a URL it would win over the names by which the relays' backends are told apart. */
function withoutApplicationName(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.delete('application_name');
  return url.href;
}
