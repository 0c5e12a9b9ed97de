import type { WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from './logger.ts';

/** Of all that the guards found, the first ends the session; the others are said, so that one start shows all. */
export function throwFirst(problems: readonly WalrelayError[], logger: Logger): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  for (const other of others) logger.error({ err: other }, other.message);
  throw first;
}
