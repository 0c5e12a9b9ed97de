import { taggedKey } from '../core/own-keys.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { EntryId } from '../sink/stream-reader.ts';

/** Where a dead letter stands. */
export interface LetterPlace {
  readonly key: string;
  readonly entryId: EntryId;
}

/** What people call it: its entry ID, on a cluster with the tag of its lane behind it: `1700000000000-0@order`. */
export function formatLetterId(base: string, { key, entryId }: LetterPlace): string {
  return key === base ? entryId : `${entryId}@${key.slice(base.length + 2, -1)}`;
}

/** Throws CONFIG_INVALID for what is no such name. */
export function parseLetterId(base: string, text: string): LetterPlace {
  const match = /^(\d{1,20}-\d{1,20})(?:@(.+))?$/su.exec(text);
  if (match === null) {
    throw new WalrelayError(
      'CONFIG_INVALID',
      `${JSON.stringify(text.slice(0, 100))} is no dead letter's ID`,
      {
        hint: '`walrelay dead-letters list` shows them: 1700000000000-0, on a cluster 1700000000000-0@tag.',
      },
    );
  }
  const [, entryId = '', tag] = match;
  return { key: tag === undefined ? base : taggedKey(base, tag), entryId };
}
