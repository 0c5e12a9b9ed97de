import type { Command } from 'commander';
import { PeriodicAudit } from '../audit/periodic-audit.ts';
import { SETTING_GROUPS } from '../config/setting-registry.ts';
import { componentLogger } from '../ops/logger.ts';
import { RelayMetrics } from '../ops/metrics.ts';
import { Relay } from '../relay/relay.ts';
import { addSettingFlags, commandSettings, holderName, settingKeysOf } from './command-settings.ts';
import { runDaemon } from './run-daemon.ts';

export function addRunCommand(program: Command, version: string): void {
  const command = program
    .command('run')
    .description('Relay until told to stop. Stands by while another relay holds the slot.')
    .option('--steal', 'end the connection of the relay that holds the slot, and take over at once')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://relay@db/shop REDIS_URL=redis://cache walrelay run
  $ walrelay run --config walrelay.yaml --log-level debug
  $ walrelay run --steal              take the slot from a relay that holds it and hangs

SIGTERM or SIGINT stops reading, finishes what is in flight, confirms it and exits with 0; a second one exits at once.`,
    );
  addSettingFlags(
    command,
    SETTING_GROUPS.filter((group) => group !== 'polling'),
  );
  command.action(() => run(command, version));
}

async function run(command: Command, version: string): Promise<void> {
  const settings = commandSettings(command);
  const metrics = new RelayMetrics({ version });
  const settingKeys = settingKeysOf(command);
  await runDaemon({ settings, settingKeys, version, metrics }, (logger) => {
    const relay = new Relay({
      settings,
      logger: componentLogger(logger, 'relay'),
      metrics,
      holder: holderName(),
      random: Math.random,
      isStealing: command.opts<{ steal?: true }>().steal === true,
    });
    const audit =
      settings.auditIntervalMs === 0
        ? null
        : PeriodicAudit.start(
            settings,
            holderName(),
            componentLogger(logger, 'audit'),
            metrics.createAuditMetrics(),
          );
    return {
      run: async () => {
        try {
          await relay.run();
        } finally {
          await audit?.stop();
        }
      },
      requestStop: () => relay.requestStop(),
      livez: () => ({ ok: relay.status.isAlive, body: relay.status }),
      readyz: () => ({ ok: relay.status.isStreaming, body: relay.status }),
    };
  });
}
