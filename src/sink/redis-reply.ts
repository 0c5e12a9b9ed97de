import type { ErrorCode } from '../core/error-codes.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

/**
 * What an error reply means, by its first word. Redis's own vocabulary, and the words of our scripts. A word that
 * is not here stops the relay (I8): a refused append must never count as delivered.
 */
const CODE_BY_WORD: Readonly<Record<string, ErrorCode>> = {
  // Our scripts.
  NOLANE: 'LANE_MISSING',
  EPOCH: 'EPOCH_CHANGED',
  FENCED: 'FENCED',
  GAP: 'CHAIN_GAP',
  // Later, on its own.
  LOADING: 'REDIS_NOT_READY',
  BUSY: 'REDIS_NOT_READY',
  MASTERDOWN: 'REDIS_NOT_READY',
  CLUSTERDOWN: 'REDIS_NOT_READY',
  TRYAGAIN: 'REDIS_NOT_READY',
  NOREPLICAS: 'REDIS_NOT_READY',
  MISCONF: 'REDIS_NOT_READY',
  UNBLOCKED: 'REDIS_NOT_READY',
  NOSCRIPT: 'REDIS_NOT_READY',
  OOM: 'REDIS_FULL',
  // Elsewhere.
  READONLY: 'REDIS_NOT_PRIMARY',
  MOVED: 'REDIS_NOT_PRIMARY',
  ASK: 'REDIS_NOT_PRIMARY',
  // An operator.
  NOAUTH: 'REDIS_AUTH',
  WRONGPASS: 'REDIS_AUTH',
  NOPERM: 'REDIS_PRIVILEGE',
  WRONGTYPE: 'REDIS_KEY_TYPE',
};

/** The code for a whole command's error reply (`OOM command not allowed …`). */
export function classifyReply(reply: string): ErrorCode {
  const word = /^-?([A-Z]+)\b/.exec(reply)?.[1] ?? '';
  const code = CODE_BY_WORD[word];
  if (code !== undefined) return code;
  if (/^ERR max number of clients/i.test(reply)) return 'REDIS_NOT_READY';
  if (/^ERR (Protocol error|string exceeds maximum|invalid bulk)/i.test(reply)) return 'REDIS_LIMIT';
  if (/^ERR AUTH|^ERR Client sent AUTH|^ERR invalid password/i.test(reply)) return 'REDIS_AUTH';
  return 'REDIS_REFUSED';
}

export function replyError(reply: string, doing: string, cause?: unknown): WalrelayError {
  // Redis adds the script's name and line; they say nothing to an operator.
  const text = reply.replace(/ script: [0-9a-f]{40}.*$/s, '').replace(/\s+/g, ' ');
  return new WalrelayError(classifyReply(reply), `Redis refused ${doing}: ${text}`, { cause });
}

/** One event that Redis refuses for itself alone; `where` names its place in the history, as far as it is known. */
export function eventRefused(
  refusal: string,
  event: { readonly id: string; readonly stream: string; readonly where?: string },
  facts: Readonly<Record<string, string>> = {},
): WalrelayError {
  const { id, stream } = event;
  const where = event.where === undefined ? '' : ` at ${event.where}`;
  return new WalrelayError(
    'EVENT_REFUSED',
    `Redis refused the event ${id}${where} for the stream ${stream}: ${refusal}`,
    {
      facts: { stream, eventId: id, ...facts },
      ...(classifyReply(refusal) === 'REDIS_KEY_TYPE'
        ? {
            hint: `The key is no stream. Move it out of the way, RENAME ${stream} ${stream}.old, and restart.`,
          }
        : {}),
    },
  );
}

/** Whether a refusal inside of the append script is about that one event's stream, and not about Redis. */
export function isAboutOneEvent(refusal: string): boolean {
  return (
    /^-?WRONGTYPE\b/.test(refusal) ||
    /^ERR (string exceeds maximum|The ID specified|The stream has exhausted)/i.test(refusal)
  );
}
