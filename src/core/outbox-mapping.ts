/**
 * What the settings say about one captured table: which of its columns an entry is made of, and what its stream is called.
 * Names are as Postgres stores them, without quotes. Null: there is no such column, and entries lack the field.
 */
export interface OutboxMapping {
  /** What errors, logs and `--outbox` call it. */
  readonly name: string;
  /** One, or several that identify an event together: joined with `:` in this order. */
  readonly columnId: readonly string[];
  readonly columnType: string | null;
  readonly columnAggregateType: string | null;
  readonly columnAggregateId: string | null;
  readonly columnPayload: string | null;
  /** Further entry fields, each with its column. */
  readonly fields: Readonly<Record<string, string>>;
  /** Further entry fields that say the same in every entry. */
  readonly staticFields: Readonly<Record<string, string>>;
  /** The template of the stream's name. */
  readonly stream: string;
}
