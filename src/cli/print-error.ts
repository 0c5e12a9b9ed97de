import type { WalrelayError } from '../core/walrelay-error.ts';
import { redactCredentials } from '../ops/redact-credentials.ts';

/** For a person at a terminal: what happened, and what to do. Never a credential. */
export function printError(error: WalrelayError): void {
  const lines = [`walrelay: ${error.code}: ${error.message}`, `  fix: ${error.hint}`];
  if (error.code === 'BUG' && error.cause instanceof Error) lines.push(String(error.cause.stack));
  process.stderr.write(`${redactCredentials(lines.join('\n'))}\n`);
}
