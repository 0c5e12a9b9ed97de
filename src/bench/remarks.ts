import type { MachineFacts, PostgresFacts, RedisFacts } from './bench-report.ts';

/** What a reader should know before believing a figure. */
export function remarksOn(facts: {
  readonly machine: MachineFacts;
  readonly postgres: PostgresFacts;
  readonly redis: RedisFacts;
  readonly hasStatements: boolean;
  readonly seed: number;
}): string[] {
  const { machine, postgres, redis, hasStatements, seed } = facts;
  const { settings } = postgres;
  const remarks: string[] = [];
  if (postgres.isLocal && redis.isLocal) {
    remarks.push(
      `Postgres, Redis, producers, reader and relay share ${machine.cores} ${machine.cores === 1 ? 'core' : 'cores'}: ` +
        'what one of them takes, the others wait for.',
    );
  }
  if (!postgres.isLocal) {
    remarks.push(
      'Postgres runs elsewhere: the CPU of its processes is not known, and latencies contain the network.',
    );
  }
  if (!redis.isLocal) remarks.push('Redis runs elsewhere: latencies contain the network.');
  if (settings['synchronous_commit'] === 'off') {
    remarks.push(
      'synchronous_commit is off: a commit reaches a replication slot only when the WAL writer has flushed it, up to three ' +
        `times wal_writer_delay (${settings['wal_writer_delay'] ?? 'unknown'}) later. Polling does not wait for that.`,
    );
  }
  if (settings['fsync'] === 'off') {
    remarks.push(
      'fsync is off: commits are faster than on a server that keeps its data, for every relay alike.',
    );
  }
  if (redis.settings['appendonly'] === 'no') {
    remarks.push('Redis keeps no append-only file: XADD is faster than where it does.');
  }
  if (redis.settings['appendfsync'] === 'always') {
    remarks.push('appendfsync is always: every reply of Redis waits for its disk.');
  }
  remarks.push(
    hasStatements
      ? 'Queries per second are those that pg_stat_statements counted.'
      : 'Without pg_stat_statements, queries per second are the committed transactions.',
    'The cost to the database is what the whole database did during the run, less the same load without a relay: on a ' +
      'server that others use too, their work is in it.',
    `The load of each scenario is drawn from seed ${seed}; --seed ${seed} repeats it.`,
  );
  return remarks;
}
