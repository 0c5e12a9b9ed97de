import type { TableOutbox } from '../config/outbox-source.ts';
import type { Settings } from '../config/settings.ts';
import { assignSetting } from '../core/name-setting.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import type { Alteration, Catalog, TableCatalog, TableFacts } from '../source/catalog.ts';
import { findSilentProblems, isLost, slotLost } from '../source/preflight.ts';
import { quoteQualified } from '../source/sql.ts';
import { publicationChanged } from './history-guard.ts';
import type { RelayShape } from './relay-shape.ts';

/**
 * Judges what the catalog says while events flow: what was received before a look that finds nothing wrong may be
 * confirmed. The stream itself says nothing of a publication that was dropped or changed.
 *
 * What each change leads to, and why, stands in docs/publication-watch.md.
 */
export class CatalogGuard {
  readonly #options: CatalogGuardOptions;
  /** Seen as committed at the last look, by transaction id. */
  #committed: ReadonlySet<string> = new Set();

  constructor(options: CatalogGuardOptions) {
    this.#options = options;
  }

  /**
   * Throws the reason to stop. False: an alteration is under way that this look can't see, so what was received
   * before it may not be confirmed yet.
   */
  check(catalog: Catalog): boolean {
    const { metrics, settings, shape, publicationIdentity } = this.#options;
    const { publication, slot, server } = catalog;
    metrics.setServerWalEndLsn(server.walEndLsn);
    if (slot !== null && isLost(slot))
      throw slotLost(settings.slot, slot, { hasTables: shape.tables.length > 0 });
    if (publication === null) {
      throw new WalrelayError(
        'PUBLICATION_CHANGED',
        `the publication ${settings.publication} was dropped or renamed while the relay ran; nothing was confirmed past the last time it was seen`,
      );
    }
    shape.tables.forEach(({ settings: outbox }, place) =>
      this.#checkTable(catalog.tables[place] as TableCatalog, outbox),
    );
    const problems = findSilentProblems(catalog, shape.expected);
    if (publication.identity !== publicationIdentity) {
      throw publicationChanged(publicationIdentity, publication.identity, problems);
    }
    if (problems[0] !== undefined) throw problems[0];
    return this.#isSettled(publication.alterations);
  }

  /** The stream goes by OID: a table that was renamed is still the same one. */
  #checkTable({ table, namedTableOid }: TableCatalog, outbox: TableOutbox): void {
    const { table: configured } = outbox;
    const name = `${configured.schema}.${configured.name}`;
    if (table === null) {
      throw namedTableOid === null
        ? new WalrelayError('TABLE_MISSING', `the table ${name} was dropped while the relay ran`, {
            hint:
              'What was committed before the drop stays in the slot. Make a table again (`walrelay init --create-table`), add it to the ' +
              'publication, then `walrelay epoch accept`.',
          })
        : replaced(`the table ${name} was dropped while the relay ran, and another one has its name now`);
    }
    if (table.schema === configured.schema && table.name === configured.name) return;
    const newName = quoteQualified(table);
    if (namedTableOid !== null) {
      throw replaced(
        `the table ${name} was renamed to ${newName} while the relay ran, and another one has its name now: what is ` +
          'inserted there was never published',
      );
    }
    this.#options.renamed(outbox.name, table);
    this.#options.warnOnce(
      `the table ${name} was renamed to ${newName}: the relay goes on with it, but does not find it at its next start unless ${assignSetting(outbox, 'table', newName)}`,
    );
  }

  /**
   * A commit is in the WAL, and decoded, before other sessions see it: for moments, or for as long as a synchronous
   * standby does not answer. Until then the row of the catalog looks as before, and only carries the alterer's mark.
   */
  #isSettled(alterations: readonly Alteration[]): boolean {
    const committed = new Set(
      alterations.filter(({ status }) => status === 'committed').map(({ xid }) => xid),
    );
    // A row that is still there at the look after its commit was only locked.
    const open = alterations.filter(({ xid }) => !(committed.has(xid) && this.#committed.has(xid)));
    this.#committed = committed;
    if (open.length === 0) return true;
    this.#options.warnOnce(
      'a transaction that alters the publication has not ended, or waits for a synchronous standby: nothing is confirmed until it is over',
    );
    return false;
  }
}

function replaced(what: string): WalrelayError {
  return new WalrelayError('TABLE_REPLACED', `${what}. Nothing was confirmed past the last time it was seen`);
}

export interface CatalogGuardOptions {
  readonly settings: Settings;
  readonly shape: RelayShape;
  readonly metrics: RelayMetrics;
  /** The publication and the table's place in it, as the lane state remembers them. */
  readonly publicationIdentity: string;
  /** The table goes by another name from now on; sessions to come must look for it by its OID. */
  renamed(outbox: string, table: TableFacts): void;
  warnOnce(warning: string): void;
}
