import { cpus, release, totalmem, type } from 'node:os';
import type { MachineFacts, PostgresFacts, RedisFacts } from './bench-report.ts';
import type { BenchHost } from './bench-host.ts';
import type { ControlPostgres } from './control-postgres.ts';
import type { ControlRedis } from './control-redis.ts';
import { isBackendHere, processName } from './process-times.ts';

const POSTGRES_SETTINGS = [
  'synchronous_commit',
  'fsync',
  'full_page_writes',
  'wal_level',
  'wal_writer_delay',
  'commit_delay',
  'shared_buffers',
  'logical_decoding_work_mem',
  'max_wal_senders',
  'ssl',
];
const REDIS_SETTINGS = ['appendonly', 'appendfsync', 'save', 'maxmemory', 'maxmemory-policy', 'io-threads'];

export function machineFacts(host: BenchHost): MachineFacts {
  const all = cpus();
  return {
    cores: all.length,
    cpu: all[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: host.nodeVersion,
  };
}

export async function postgresFacts(postgres: ControlPostgres): Promise<PostgresFacts> {
  const rows = await postgres.query<{ name: string; value: string }>(
    'SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY ($1) ORDER BY name',
    [POSTGRES_SETTINGS],
  );
  const [self] = await postgres.query<{ version: string; pid: number; startedAt: number }>(
    `SELECT current_setting('server_version') AS version, pid, extract(epoch FROM backend_start)::float8 AS "startedAt"
     FROM pg_stat_activity WHERE pid = pg_backend_pid()`,
  );
  return {
    version: self?.version ?? 'unknown',
    isLocal: self !== undefined && isBackendHere(self.pid, self.startedAt),
    settings: Object.fromEntries(rows.map(({ name, value }) => [name, value])),
  };
}

export async function redisFacts(redis: ControlRedis): Promise<RedisFacts> {
  const server = await redis.info('server');
  const settings: Record<string, string> = {};
  for (const name of REDIS_SETTINGS) {
    const value = await redis.setting(name);
    if (value !== undefined) settings[name] = value;
  }
  const valkey = server['valkey_version'];
  const name = processName(Number(server['process_id']));
  return {
    version: valkey === undefined ? (server['redis_version'] ?? 'unknown') : `Valkey ${valkey}`,
    isLocal: name !== undefined && /^(redis|valkey)-/.test(name),
    settings,
  };
}
