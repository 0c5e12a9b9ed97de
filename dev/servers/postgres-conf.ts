/** What the tests, the demo and the benches need of a Postgres that lives for minutes and only on loopback. */
export const TEST_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_wal_senders: '20',
  max_replication_slots: '20',
  max_connections: '100',
  // A kill leaves the page cache whole, so nothing is lost without fsync. synchronous_commit stays on: with it
  // off, a committed row reaches the slot up to three times wal_writer_delay later.
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'on',
  // In the data directory, where it goes with the rest. In /dev/shm it would stay behind after a SIGKILL.
  dynamic_shared_memory_type: 'mmap',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  log_line_prefix: '%m [%p] %q%a ',
};

/** Lines for the end of postgresql.conf, where the last line of a name wins. */
export function postgresConf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `\n${name} = '${value.replaceAll("'", "''")}'`)
    .concat('\n')
    .join('');
}
