import { WalrelayError } from '../core/walrelay-error.ts';
import type { SlotFacts } from './catalog.ts';
import { quoteIdentifier } from './sql.ts';

export function publicationMissing(publication: string, slot: SlotFacts | null): WalrelayError {
  return new WalrelayError(
    'PUBLICATION_MISSING',
    `the publication ${quoteIdentifier(publication)} does not exist`,
    {
      // The slot stays: what was committed while the publication was there can still be decoded.
      hint:
        slot === null
          ? 'Run `walrelay init`.'
          : 'Run `walrelay init` to create it, then `walrelay epoch accept`: it says what may be missing.',
    },
  );
}
