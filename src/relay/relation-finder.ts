import { WalrelayError } from '../core/walrelay-error.ts';
import { compilePlan, type Relation, type TuplePlan } from '../decode/outbox-columns.ts';
import type { OutboxTarget } from '../decode/pgoutput-decoder.ts';
import type { Catalog, Partition } from '../source/catalog.ts';
import type { QualifiedName } from '../source/sql.ts';
import type { RelayOutbox, RelayShape, RelayTable } from './relay-shape.ts';

/**
 * Tells whose rows a relation of the stream carries. By OID, so that a rename loses nothing; by name, so that WAL from
 * before a table was re-created is read too. Where a publication sends the rows of a partitioned table under the names of
 * its partitions, these stand for it: all that the newest look at the catalog knew, also those that were made since.
 */
export class RelationFinder implements OutboxTarget {
  readonly slotCount: number;
  readonly #outboxes: readonly RelayOutbox[];
  /** In the order in which the catalog was asked for them. */
  readonly #tables: readonly RelayTable[];
  /** Number of the outbox by OID; partitions are kept when they are dropped or detached: their rows may be yet to come. */
  readonly #byOid = new Map<number, number>();
  readonly #byName = new Map<string, number>();
  #catalog: Catalog;

  constructor({ outboxes, tables }: Pick<RelayShape, 'outboxes' | 'tables'>, catalog: Catalog) {
    this.slotCount = Math.max(...outboxes.map(({ outbox }) => outbox.columns.length));
    this.#outboxes = outboxes;
    this.#tables = tables;
    this.#catalog = catalog;
    for (const { settings, number } of tables) this.#byName.set(keyOf(settings.table), number);
    this.learn(catalog);
  }

  /** What a newer look at the catalog says. */
  learn(catalog: Catalog): void {
    this.#catalog = catalog;
    catalog.tables.forEach(({ table }, place) => {
      const number = this.#tables[place]?.number;
      if (table === null || number === undefined) return;
      this.#byOid.set(table.oid, number);
      for (const partition of table.partitions) this.#learnPartition(partition, number);
    });
  }

  planOf(relation: Relation): TuplePlan | null {
    const number =
      this.#byOid.get(relation.oid) ??
      this.#byName.get(keyOf({ schema: relation.schema, name: relation.table }));
    const found = number === undefined ? undefined : this.#outboxes[number];
    if (number === undefined || found === undefined) {
      this.#requireOther(relation);
      return null;
    }
    const { mapping, columns, binarySlots } = found.outbox;
    return compilePlan({ outbox: number, name: mapping.name, names: columns, binarySlots }, relation);
  }

  #learnPartition(partition: Partition, number: number): void {
    this.#byOid.set(partition.oid, number);
    const key = keyOf(partition);
    if (!this.#byName.has(key)) this.#byName.set(key, number);
  }

  /**
   * Where rows come under the names of partitions, a relation that nobody knows may be a partition that was made a moment
   * ago, or one that is gone: its rows must not be passed over. A table that the publication names itself is another one.
   */
  #requireOther(relation: Relation): void {
    const { tables, publication } = this.#catalog;
    if (publication?.isForAllTables === true) return;
    const suspected = tables.findIndex(({ table, publication: view }, place) => {
      if (table?.kind !== 'p' || view === null || view.isViaRoot || view.memberOids.includes(relation.oid))
        return false;
      const columns = this.#tables[place]?.outbox.columns ?? [];
      return columns.every((name) => relation.columns.some((column) => column.name === name));
    });
    const outbox = this.#tables[suspected];
    if (outbox === undefined) return;
    const name = `${relation.schema}.${relation.table}`;
    throw new WalrelayError(
      'PARTITION_UNKNOWN',
      `the stream has rows of ${name}, which the catalog does not know as a partition of ${outbox.settings.name}`,
      { facts: { outbox: outbox.settings.name, relation: name, oid: relation.oid } },
    );
  }
}

function keyOf({ schema, name }: QualifiedName): string {
  return JSON.stringify([schema, name]);
}
