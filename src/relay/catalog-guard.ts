import type { Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import type { Catalog } from '../source/catalog.ts';
import { isLost, slotLost } from '../source/preflight.ts';
import { publicationChanged } from './history-guard.ts';
import type { OutboxShape } from './outbox-shape.ts';

/**
 * Judges what the catalog says while events flow: what was received before a look that finds nothing wrong may be
 * confirmed. The stream itself says nothing of a publication that was dropped or changed.
 */
export class CatalogGuard {
  readonly #options: CatalogGuardOptions;

  constructor(options: CatalogGuardOptions) {
    this.#options = options;
  }

  /** Throws the reason to stop; tells the metrics what there is to tell. */
  check(catalog: Catalog): void {
    const { metrics, settings, shape, publicationIdentity } = this.#options;
    const { publication, slot, table, server } = catalog;
    metrics.setServerWalEndLsn(server.walEndLsn);
    if (slot !== null) {
      metrics.setSlot({ retainedBytes: slot.retainedBytes ?? 0, safeBytes: slot.safeWalBytes });
      if (isLost(slot)) throw slotLost(settings.slot, slot);
      if (slot.walStatus === 'unreserved') {
        this.#options.warnOnce(
          'the slot is beyond max_slot_wal_keep_size: it is lost at the next checkpoint unless the relay catches up',
        );
      }
    }
    if (publication === null) {
      throw new WalrelayError(
        'PUBLICATION_CHANGED',
        `the publication ${settings.publication} was dropped while the relay ran; nothing was confirmed past the last time it was seen`,
      );
    }
    if (table === null) {
      const { schema, name } = shape.expected.table;
      throw new WalrelayError(
        'TABLE_MISSING',
        `the table ${schema}.${name} was dropped or renamed while the relay ran`,
        {
          hint: 'Rename it back, or set WALRELAY_TABLE to its new name; nothing was confirmed past the last time it was seen.',
        },
      );
    }
    if (publication.identity !== publicationIdentity) {
      throw publicationChanged(publicationIdentity, publication.identity);
    }
  }
}

export interface CatalogGuardOptions {
  readonly settings: Settings;
  readonly shape: OutboxShape;
  readonly metrics: RelayMetrics;
  /** The publication and the table's place in it, as the lane state remembers them. */
  readonly publicationIdentity: string;
  warnOnce(warning: string): void;
}
