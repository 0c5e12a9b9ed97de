import type { ErrorCode } from '../../../src/core/error-codes.ts';
import { type Expected, REDIS_PLACES, type RedisPlace } from './redis-replies.ts';

/** What can come instead of a whole answer. */
export interface RedisFault {
  readonly name: string;
  readonly isHalf?: boolean;
  readonly ending: 'reset' | 'end' | 'silence';
  readonly code: ErrorCode;
}

export const REDIS_FAULTS: readonly RedisFault[] = [
  { name: 'the connection is reset', ending: 'reset', code: 'REDIS_CONNECTION_LOST' },
  { name: 'the connection is closed', ending: 'end', code: 'REDIS_CONNECTION_LOST' },
  { name: 'half an answer, then a reset', isHalf: true, ending: 'reset', code: 'REDIS_CONNECTION_LOST' },
  { name: 'half an answer, then nothing', isHalf: true, ending: 'silence', code: 'REDIS_TIMEOUT' },
  { name: 'nothing', ending: 'silence', code: 'REDIS_TIMEOUT' },
];

const CONNECT: ReadonlySet<RedisPlace> = new Set(['auth', 'select', 'ping']);

/** While it connects, every fault is the same one. */
export function codeOfFault(fault: RedisFault, place: RedisPlace): ErrorCode {
  return CONNECT.has(place) ? 'REDIS_UNREACHABLE' : fault.code;
}

/** Answers that are no error, and that neither server nor script ever gives at these places. */
export const STRANGE_ANSWERS: readonly { readonly name: string; readonly bytes: string }[] = [
  { name: 'a status', bytes: '+HELLO\r\n' },
  { name: 'a number', bytes: ':7\r\n' },
  { name: 'a text', bytes: '$5\r\nhello\r\n' },
  { name: 'nil', bytes: '$-1\r\n' },
  { name: 'a nil array', bytes: '*-1\r\n' },
  { name: 'an array of three', bytes: '*3\r\n:1\r\n:2\r\n:3\r\n' },
  { name: 'an array within an array', bytes: '*1\r\n*1\r\n$1\r\nx\r\n' },
];

/** Where an answer other than an error is all that is wanted. */
const CONTENT_DOES_NOT_MATTER: ReadonlySet<RedisPlace> = new Set(['auth', 'select', 'ping', 'config']);

export function codeOfStrangeAnswer(place: RedisPlace): Expected {
  return CONTENT_DOES_NOT_MATTER.has(place) ? 'goes on' : 'REDIS_REFUSED';
}

/** An answer to a batch that is well formed and speaks of fewer events than were sent. */
export const SHORT_COUNT = {
  name: 'an answer for none of the events',
  bytes: '*2\r\n:0\r\n:0\r\n',
  code: 'BUG',
} as const;

/** A refused entry is part of a whole answer: there is nothing to cut or to mistake. */
export const COMMAND_PLACES = (Object.keys(REDIS_PLACES) as RedisPlace[]).filter(
  (place) => place !== 'entry',
);
