import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import { LogDestination } from './log-destination.ts';
import { redactCredentials } from './redact-credentials.ts';
import { serializeError } from './serialize-error.ts';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Fields that nobody should log; if somebody does, the value stays out. One and two levels deep. */
const SECRET_FIELDS = ['password', 'databaseUrl', 'redisUrl', 'connectionString', 'payload'];
const STDERR = 2;

/**
 * The root logger: JSON lines with an ISO time and the level as a word, to stderr (stdout belongs to reports). Errors
 * go under `err`.
 */
export function createLogger(options: { level: LogLevel; destination?: DestinationStream }): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '***' },
      hooks: { streamWrite: redactCredentials },
    },
    options.destination ?? new LogDestination({ fd: STDERR }),
  );
}

/** A child whose lines say which part of Walrelay speaks. */
export function componentLogger(root: Logger, component: string): Logger {
  return root.child({ component });
}
