import type { SettingKey, Settings } from '../config/settings.ts';
import { settingsForLog } from '../config/settings-for-log.ts';
import { tlsWarnings } from '../config/tls-warnings.ts';
import { EXIT } from '../core/error-codes.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import { type HealthReport, type HttpRoutes, startHttpServer } from '../ops/http-server.ts';
import { LogDestination } from '../ops/log-destination.ts';
import { createLogger, type Logger } from '../ops/logger.ts';

const STDERR = 2;

/** What runs until it is told to stop. */
export interface DaemonWork {
  /** Resolves after a stop; throws the WalrelayError that needs a person. */
  run(): Promise<void>;
  requestStop(): void;
  livez(): HealthReport;
  readyz(): HealthReport;
}

/**
 * Everything around a relay that a process is: log, HTTP, signals, exit code. Does not return: it ends the process when
 * the work has ended.
 */
export async function runDaemon(
  options: {
    readonly settings: Settings;
    /** Those that mean something to the command: the others are not logged. */
    readonly settingKeys: readonly SettingKey[];
    readonly version: string;
    readonly metrics: { render: HttpRoutes['metrics'] };
  },
  start: (logger: Logger) => DaemonWork,
): Promise<void> {
  const { settings, settingKeys, version, metrics } = options;
  const destination = new LogDestination({ fd: STDERR });
  process.on('exit', () => destination.flushSync());
  const logger = createLogger({ level: settings.logLevel, destination });
  const work = start(logger);

  // Whatever nobody awaited is a broken invariant: die without confirming anything.
  const crash = (thrown: unknown) => {
    const error = toWalrelayError(thrown);
    logger.fatal({ err: error }, 'crashed');
    exitNow(EXIT.bug, destination);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  stopOnSignals(work, logger, destination);

  const http =
    settings.httpPort === 'off'
      ? null
      : await startHttpServer({
          host: settings.httpHost,
          port: settings.httpPort,
          routes: {
            livez: () => work.livez(),
            readyz: () => work.readyz(),
            metrics: () => metrics.render(),
          },
        });
  logger.info(
    { version, http: http?.url ?? 'off', settings: settingsForLog(settings, settingKeys) },
    'walrelay starts',
  );
  for (const warning of tlsWarnings(settings)) logger.warn(warning);
  try {
    await work.run();
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

function stopOnSignals(work: DaemonWork, logger: Logger, destination: LogDestination): void {
  let isStopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (isStopping) {
      logger.warn({ signal }, 'second signal: exiting at once, nothing further is confirmed');
      exitNow(EXIT.killed, destination);
      return;
    }
    isStopping = true;
    logger.info({ signal }, 'stopping');
    work.requestStop();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** process.exit waits for a log reader that has stalled; a signal does not. */
function exitNow(code: number, destination: LogDestination): void {
  if (destination.isStalled) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}
