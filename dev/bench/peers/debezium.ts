import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { BenchPlace, Contestant, RunningContestant } from '../../../src/bench/contestant.ts';
import {
  replicationUnavailable,
  setUpSlot,
  tearDownSlot,
} from '../../../src/bench/contestants/slot-set-up.ts';
import { withPostgres } from '../../../src/bench/control-postgres.ts';
import { DEBEZIUM_VERSION, installDebezium } from './debezium-distribution.ts';
import { type DebeziumTuning, debeziumSettings } from './debezium-settings.ts';
import { renderProperties } from './java-properties.ts';
import { PeerProcess } from './peer-process.ts';
import { isSlotStreaming } from './slot-streaming.ts';

/** Without a limit Java takes a quarter of the machine's memory. */
const HEAP_MAX = '-Xmx512m';
const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 20_000;
/** It sets application_name itself: `Debezium Streaming`, `Debezium General` and others. */
const APPLICATION_NAME_START = 'Debezium';

/** Debezium Server with its Redis sink, from the distribution on Maven Central. */
export function debeziumContestant(options: {
  readonly id: string;
  readonly name: string;
  readonly summary: string;
  readonly tuning: DebeziumTuning;
}): Contestant {
  const { tuning, ...facts } = options;
  return {
    ...facts,
    kind: 'peer',
    version: DEBEZIUM_VERSION,
    async unavailable(place) {
      if (new URL(place.databaseUrl).hostname === '')
        return 'it reaches Postgres by TCP only; name a host in the URL';
      const reason = await replicationUnavailable(place);
      if (reason !== undefined) return reason;
      const install = await installDebezium(place.signal);
      return typeof install === 'string' ? install : undefined;
    },
    setUp: setUpSlot,
    tearDown: tearDownSlot,
    start: async (place) => await startDebezium(place, tuning),
  };
}

async function startDebezium(place: BenchPlace, tuning: DebeziumTuning): Promise<RunningContestant> {
  const install = await installDebezium(place.signal);
  if (typeof install === 'string') throw new Error(install);
  // It reads config/application.properties below its working directory.
  const cwd = join(place.dir, 'debezium');
  mkdirSync(join(cwd, 'config'), { recursive: true });
  writeFileSync(
    join(cwd, 'config', 'application.properties'),
    renderProperties(debeziumSettings(place, tuning)),
    { mode: 0o600 },
  );
  const peer = await PeerProcess.start({
    name: 'Debezium Server',
    command: install.java.command,
    // As its run.sh starts it.
    args: [HEAP_MAX, '-cp', classPath(install.dir), 'io.debezium.server.Main'],
    cwd,
    env: environment(),
    logFile: join(place.dir, 'debezium.log'),
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
  await withPostgres(place.databaseUrl, async (postgres) => {
    const isReady = async () => await isSlotStreaming(postgres, place.name);
    await peer.untilReady(isReady, START_TIMEOUT_MS, place.signal);
  });
  return {
    pids: [peer.pid],
    applicationName: APPLICATION_NAME_START,
    ended: peer.ended,
    stop: async () => await peer.stop(),
  };
}

function classPath(dir: string): string {
  const runner = readdirSync(dir).find((name) => name.endsWith('-runner.jar'));
  if (runner === undefined)
    throw new Error(`no runner in ${dir}; remove the directory, to download it again`);
  return [runner, join('config', 'lib'), join('lib', '*')].map((path) => join(dir, path)).join(delimiter);
}

/** Quarkus takes every setting from the environment too, and one of ours could be read as one of its. */
function environment(): Record<string, string | undefined> {
  const { PATH, HOME, LANG, TZ, TMPDIR } = process.env;
  return { PATH, HOME, LANG, TZ, TMPDIR };
}
