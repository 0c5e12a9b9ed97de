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
  RECOVERED: 'AUDIT_OVERTAKEN',
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
  DENIED: 'REDIS_AUTH',
  NOPERM: 'REDIS_PRIVILEGE',
  WRONGTYPE: 'REDIS_KEY_TYPE',
  CROSSSLOT: 'REDIS_CROSS_SLOT',
};

/** Redis does not say which command. */
const SCRIPT_NOT_PERMITTED =
  /^(ERR )?(The user executing the script can't (run this command|access at least one)|ACL failure in script)/i;

/** Under the word ERR Redis keeps what has no word of its own: there the text is all there is. */
const CODE_BY_ERR_TEXT: readonly (readonly [text: RegExp, code: ErrorCode])[] = [
  [/^max number of clients/i, 'REDIS_NOT_READY'],
  [/^WAIT(AOF)? cannot be used with replica/i, 'REDIS_NOT_PRIMARY'],
  [/^WAITAOF cannot be used when .*appendonly is disabled/i, 'REDIS_VOLATILE'],
  [/^Protocol error: unauthenticated/i, 'REDIS_AUTH'],
  [/^(Protocol error|string exceeds maximum|invalid bulk)/i, 'REDIS_LIMIT'],
  [/^(AUTH|Client sent AUTH|invalid password)/i, 'REDIS_AUTH'],
  [SCRIPT_NOT_PERMITTED, 'REDIS_PRIVILEGE'],
];

/** The code for a whole command's error reply (`OOM command not allowed …`). */
export function classifyReply(reply: string): ErrorCode {
  const [, word = '', text = ''] = /^-?([A-Z]+)\b ?([^]*)$/.exec(reply) ?? [];
  if (word === 'ERR') return CODE_BY_ERR_TEXT.find(([known]) => known.test(text))?.[1] ?? 'REDIS_REFUSED';
  return CODE_BY_WORD[word] ?? 'REDIS_REFUSED';
}

/**
 * The error for a refused command. It has no cause: what ioredis throws says the same once more, with what must not
 * be shown.
 */
export function replyError(reply: string, doing: string): WalrelayError {
  const hint = HINTS.find(([known]) => known.test(reply))?.[1];
  const details = hint === undefined ? {} : { hint };
  return new WalrelayError(classifyReply(reply), `Redis refused ${doing}: ${replyText(reply)}`, details);
}

/**
 * What of a reply may be shown. Redis repeats the beginning of an unknown command's arguments, and AUTH can be renamed
 * away: then that is the password. The script's name and line say nothing to an operator.
 */
export function replyText(reply: string): string {
  const text = reply
    .replace(/,? with args beginning with:.*$/s, '')
    .replace(/ script: [0-9a-f]{40}.*$/s, '')
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > REPLY_CHARS_MAX ? `${text.slice(0, REPLY_CHARS_MAX)}…` : text;
}

/** An answer that is no error, and nothing that the server or script ever says: it proves nothing (I8). */
export function unknownReply(to: string): WalrelayError {
  return new WalrelayError('REDIS_REFUSED', `Redis gave an answer to ${to} that it never gives`);
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
    `Redis refused the event ${id}${where} for the stream ${stream}: ${replyText(refusal)}`,
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

/** Far more than Redis says of itself. */
const REPLY_CHARS_MAX = 400;

/** Where the code's own hint would mislead. */
const HINTS: readonly (readonly [reply: RegExp, hint: string])[] = [
  [
    SCRIPT_NOT_PERMITTED,
    'Grant the Redis user what the scripts call, +hget +hset +hsetnx +hmget +hgetall +xadd, and the keys that docs/least-privilege.md lists.',
  ],
  [/^ERR (DB index|invalid DB|SELECT)/i, 'Correct the database number at the end of REDIS_URL.'],
  [
    /^-?DENIED\b/,
    'Redis lets only its own host in while it has no password: set one (CONFIG SET requirepass …), put it into REDIS_URL.',
  ],
];
