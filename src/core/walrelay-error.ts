import { type Disposition, ERROR_CODES, type ErrorCode } from './error-codes.ts';

export interface WalrelayErrorDetails {
  /** What to do, as SQL or a command where there is one. Overrides the code's general hint. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Named facts for the log line. Never a payload, never a credential. */
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>;
}

/** The only error class: its code says what happened, the code's disposition what must happen next. */
export class WalrelayError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;

  constructor(code: ErrorCode, message: string, details: WalrelayErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'WalrelayError';
    this.code = code;
    this.hint = details.hint ?? ERROR_CODES[code].hint;
    this.facts = details.facts ?? {};
  }

  get disposition(): Disposition {
    return ERROR_CODES[this.code].disposition;
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exitCode;
  }
}

/** Whatever was thrown, as a WalrelayError. What nobody classified is a bug: fail closed (I8). */
export function toWalrelayError(thrown: unknown): WalrelayError {
  if (thrown instanceof WalrelayError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new WalrelayError('BUG', `unexpected error: ${message}`, { cause: thrown });
}
