import { hostname } from 'node:os';
import { CliProcess } from '../cli-process.ts';
import type { BenchPlace, Contestant } from '../contestant.ts';
import type { ProgramOptions } from '../program-process.ts';
import { replicationUnavailable, tearDownSlot } from './slot-set-up.ts';

export function walrelayContestant(version: string, options: ProgramOptions): Contestant {
  return {
    id: 'walrelay',
    name: 'Walrelay',
    kind: 'walrelay',
    summary: 'Replication slot, exactly once and in commit order: `walrelay run` with its defaults.',
    version,
    unavailable: replicationUnavailable,
    async setUp(place) {
      await new CliProcess(['init'], relaySettings(place), options).success();
    },
    tearDown: tearDownSlot,
    async start(place) {
      const relay = new CliProcess(['run'], relaySettings(place), options);
      await relay.started('streaming', place.signal);
      return {
        pids: [relay.pid],
        applicationName: `walrelay ${hostname()} ${relay.pid}`,
        ended: relay.ended,
        stop: async () => await relay.stop(),
      };
    },
  };
}

/** What the relays of this package share: where to read, where to write. Everything else is a default. */
export function relaySettings(place: BenchPlace): Record<string, string> {
  return {
    DATABASE_URL: place.databaseUrl,
    REDIS_URL: place.redisUrl,
    WALRELAY_TABLE: `${place.table.schema}.${place.table.name}`,
    WALRELAY_SLOT: place.name,
    WALRELAY_PUBLICATION: place.name,
    WALRELAY_STREAM: `${place.keyPrefix}\${aggregatetype}`,
    WALRELAY_META_KEY: `${place.keyPrefix}lane`,
    WALRELAY_HTTP_PORT: 'off',
    WALRELAY_LOG_LEVEL: 'info',
  };
}
