import { WalrelayError } from '../core/walrelay-error.ts';
import type { Catalog, CatalogNames } from './catalog.ts';
import { publicationMissing } from './publication-missing.ts';

/** What there is to say where no table says it, and of what tables do not need. */
export function findMessageProblems(
  { server, publication, slot }: Catalog,
  expected: CatalogNames,
): WalrelayError[] {
  const problems: WalrelayError[] = [];
  const { messagePrefixes = [], tables } = expected;
  // The content of a message comes as it was written, in the database's encoding: nothing converts it as it does a row.
  if (messagePrefixes.length > 0 && !['UTF8', 'SQL_ASCII'].includes(server.serverEncoding)) {
    problems.push(
      new WalrelayError(
        'PG_ENCODING',
        `the database is in ${server.serverEncoding}, and messages come out of it unconverted: their JSON would not be UTF-8`,
      ),
    );
  }
  if (tables.length === 0 && publication === null)
    problems.push(publicationMissing(expected.publication, slot));
  return problems;
}

/** Where all outboxes are of messages, nothing can be recovered. */
export const NO_TABLE_HOLDS_IT = 'What was not relayed is lost: no table holds it (docs/messages.md).';
