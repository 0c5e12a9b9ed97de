import { WalrelayError } from '../core/walrelay-error.ts';

const MESSAGE_CHARS_MAX = 2000;
const CAUSES_MAX = 8;

/** What a log line says about an error. */
export interface SerializedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly disposition?: string;
  readonly hint?: string;
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>;
  /** From the nearest cause to the first one. */
  readonly causes?: readonly string[];
  readonly stack?: string;
}

/**
 * Takes named fields and nothing else. The drivers hang the failed command with all its arguments on their errors
 * (`error.command.args`, `error.parameters`), and those hold payloads.
 */
export function serializeError(thrown: unknown): SerializedError {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: cut(String(thrown)) };
  const causes = listCauses(thrown);
  const known = thrown instanceof WalrelayError;
  const code = codeOf(thrown);
  return {
    type: thrown.name,
    message: messageOf(thrown),
    ...(code === undefined ? {} : { code }),
    ...(known ? { disposition: thrown.disposition, hint: thrown.hint, facts: thrown.facts } : {}),
    ...(causes.length === 0 ? {} : { causes }),
    // An operator's mistake or a lost connection needs no stack; a bug, or what nobody classified, does.
    ...(thrown.stack !== undefined && (!known || thrown.disposition === 'bug')
      ? { stack: cut(deepestStack(thrown) ?? thrown.stack) }
      : {}),
  };
}

function listCauses(error: Error): string[] {
  const causes: string[] = [];
  let cause = error.cause;
  while (cause !== undefined && cause !== null && causes.length < CAUSES_MAX) {
    if (!(cause instanceof Error)) {
      // Anything may be thrown; an object here could be a parameter list.
      causes.push(typeof cause === 'string' ? cut(cause) : typeof cause);
      break;
    }
    const code = codeOf(cause);
    causes.push(`${cause.name}${code === undefined ? '' : ` ${code}`}: ${messageOf(cause)}`);
    cause = cause.cause;
  }
  return causes;
}

/** The stack of the first cause: where it happened, not where it was wrapped. */
function deepestStack(error: Error): string | undefined {
  let deepest = error;
  for (let depth = 0; depth < CAUSES_MAX && deepest.cause instanceof Error; depth += 1)
    deepest = deepest.cause;
  return deepest.stack;
}

/** Node reports a refused connection to a name with two addresses as an AggregateError without a message. */
function messageOf(error: Error): string {
  if (error.message !== '' || !(error instanceof AggregateError)) return cut(error.message);
  return cut(error.errors.map((each) => (each instanceof Error ? each.message : typeof each)).join('; '));
}

function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function cut(text: string): string {
  return text.length > MESSAGE_CHARS_MAX ? `${text.slice(0, MESSAGE_CHARS_MAX)}…` : text;
}
