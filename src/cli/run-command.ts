import type { Command } from 'commander';
import { settingsForLog } from '../config/settings-for-log.ts';
import { EXIT } from '../core/error-codes.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import { startHttpServer } from '../ops/http-server.ts';
import { LogDestination } from '../ops/log-destination.ts';
import { componentLogger, createLogger, type Logger } from '../ops/logger.ts';
import { RelayMetrics } from '../ops/metrics.ts';
import { Relay } from '../relay/relay.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';

const STDERR = 2;

export function addRunCommand(program: Command, version: string): void {
  const command = program
    .command('run')
    .description('Relay until told to stop. Stands by while another relay holds the slot.')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://relay@db/shop REDIS_URL=redis://cache walrelay run
  $ walrelay run --config walrelay.yaml --log-level debug

SIGTERM or SIGINT stops reading, finishes what is in flight, confirms it and exits with 0; a second one exits at once.`,
    );
  addSettingFlags(command);
  command.action(() => run(command, version));
}

async function run(command: Command, version: string): Promise<void> {
  const settings = commandSettings(command);
  const destination = new LogDestination({ fd: STDERR });
  process.on('exit', () => destination.flushSync());
  const logger = createLogger({ level: settings.logLevel, destination });
  const metrics = new RelayMetrics({ version });
  const relay = new Relay({
    settings,
    logger: componentLogger(logger, 'relay'),
    metrics,
    holder: holderName(),
    random: Math.random,
  });

  // Whatever nobody awaited is a broken invariant: die without confirming anything.
  const crash = (thrown: unknown) => {
    const error = toWalrelayError(thrown);
    logger.fatal({ err: error }, 'crashed');
    exitNow(EXIT.bug, destination);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  stopOnSignals(relay, logger, destination);

  const http =
    settings.httpPort === 'off'
      ? null
      : await startHttpServer({
          host: settings.httpHost,
          port: settings.httpPort,
          routes: {
            livez: () => ({ ok: relay.status.isAlive, body: relay.status }),
            readyz: () => ({ ok: relay.status.isStreaming, body: relay.status }),
            metrics: () => metrics.render(),
          },
        });
  logger.info({ version, http: http?.url ?? 'off', settings: settingsForLog(settings) }, 'walrelay starts');
  try {
    await relay.run();
    logger.info('stopped');
  } catch (thrown) {
    const error = toWalrelayError(thrown);
    logger.fatal({ err: error }, 'stopped: this needs somebody');
    process.exitCode = error.exitCode;
  } finally {
    await http?.close();
  }
  // Nothing that a library left behind may keep a stopped relay alive.
  exitNow(Number(process.exitCode ?? EXIT.ok), destination);
}

function stopOnSignals(relay: Relay, logger: Logger, destination: LogDestination): void {
  let isStopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (isStopping) {
      logger.warn({ signal }, 'second signal: exiting at once, nothing further is confirmed');
      exitNow(EXIT.killed, destination);
      return;
    }
    isStopping = true;
    logger.info({ signal }, 'stopping');
    relay.requestStop();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** process.exit waits for a log reader that has stalled; a signal does not. */
function exitNow(code: number, destination: LogDestination): void {
  if (destination.isStalled) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}
