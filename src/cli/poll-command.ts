import type { Command } from 'commander';
import { selectOutbox } from '../config/select-outbox.ts';
import type { SettingKey, Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { componentLogger } from '../ops/logger.ts';
import { PollingMetrics } from '../ops/polling-metrics.ts';
import { PollingRelay } from '../polling/polling-relay.ts';
import { addSettingFlags, commandSettings, settingKeysOf } from './command-settings.ts';
import { runDaemon } from './run-daemon.ts';

/** They are about the slot, its stream, or batches in flight: polling has none of these. */
const MEANINGLESS: readonly SettingKey[] = [
  'publication',
  'inFlightBatchesMax',
  'statusIntervalMs',
  'watchIntervalMs',
  'standbyPollMs',
  'durability',
  'replayWindowMs',
];

export function addPollCommand(program: Command, version: string): void {
  const command = program
    .command('poll')
    .description('Relay by polling the table, where there can be no replication slot. At least once.')
    .option('--outbox <name>', 'this outbox, by its name or table, where there are several')
    .addHelpText(
      'after',
      `
Examples:
  $ walrelay poll --poll-interval-ms 100
  $ walrelay poll --poll-after mark --poll-order-column id
  $ walrelay poll --poll-listen-channel walrelay_outbox     with postgres/notify-trigger.sql: no wait for the interval
  $ walrelay poll --poll-workers 4                          faster; the order between claims is not kept

An event is published before its row is deleted or marked: a crash in between publishes it again. Rows are claimed in the
order of a column, which is not the order of their commits. docs/polling.md says what that means.

SIGTERM or SIGINT finishes the batch in hand, commits it and exits with 0; a second one exits at once.`,
    );
  addSettingFlags(
    command,
    ['connections', 'outbox', 'columns', 'polling', 'http and logs', 'limits', 'timing'],
    MEANINGLESS,
  );
  command.action(() => poll(command, version));
}

async function poll(command: Command, version: string): Promise<void> {
  const { outbox } = command.opts<{ outbox?: string }>();
  const all = commandSettings(command);
  const settings: Settings = { ...all, outboxes: [selectOutbox(all, outbox, 'walrelay poll')] };
  if (settings.redisMode === 'cluster') {
    throw new WalrelayError('CONFIG_INVALID', 'walrelay poll does not write to a Redis Cluster', {
      hint: 'Use `walrelay run`, or a single Redis.',
    });
  }
  const metrics = new PollingMetrics({ version });
  const settingKeys = settingKeysOf(command);
  await runDaemon({ settings, settingKeys, version, metrics }, (logger) => {
    const relay = new PollingRelay({
      settings,
      logger: componentLogger(logger, 'polling'),
      metrics,
      random: Math.random,
    });
    return {
      run: () => relay.run(),
      requestStop: () => relay.requestStop(),
      livez: () => ({ ok: relay.status.isAlive, body: relay.status }),
      readyz: () => ({ ok: relay.status.isPolling, body: relay.status }),
    };
  });
}
