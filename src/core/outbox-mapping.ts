/** What an entry looks like; docs/formats.md has an example of each. */
export const ENTRY_FORMATS = [
  'native',
  'cloudevents-structured',
  'cloudevents-binary',
  'debezium',
  'debezium-compact',
  'raw',
] as const;
export type EntryFormat = (typeof ENTRY_FORMATS)[number];

/** How Debezium Server would have rendered keys, values and headers. */
export const DEBEZIUM_CONVERTERS = ['string', 'json', 'expanded-json'] as const;
export type DebeziumConverter = (typeof DEBEZIUM_CONVERTERS)[number];

/** Entries that a stream keeps where it is trimmed. */
export type LengthLimit = number | 'off';

/**
 * What the settings say about one captured table: which of its columns an entry is made of, and what its stream is called.
 * Names are as Postgres stores them, without quotes. Null: there is no such column, and entries lack the field.
 */
export interface OutboxMapping {
  /** What errors, logs and `--outbox` call it. */
  readonly name: string;
  /** Where its settings stand, if in a list; null: it is the one of the flat settings. */
  readonly place: OutboxPlace | null;
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
  /** How many streams `${partition}` in a template stands for; null where there is no such thing. */
  readonly partitions: number | null;
  readonly format: EntryFormat;
  /** The `source` of its CloudEvents; auto for one that is made of the outbox's name. */
  readonly cloudEventsSource: string;
  readonly debeziumConverter: DebeziumConverter;
  /** The one field of a raw entry. */
  readonly rawField: string;
  /** How long its streams may become, where they are trimmed. */
  readonly trimMaxLength: LengthLimit;
  /** The first that fits an event decides about it; one that none fits goes to `stream`. */
  readonly routes: readonly RouteMapping[];
}

/** An item of the list in a configuration file. */
export interface OutboxPlace {
  readonly file: string;
  /** `outboxes[1]` */
  readonly item: string;
}

export interface RouteMapping {
  /** Columns, or the names that a template may use, each with the values that fit. Null stands for NULL. */
  readonly when: Readonly<Record<string, readonly (string | null)[]>>;
  /** Null: that of the outbox. */
  readonly stream: string | null;
  /** Null: that of the outbox. */
  readonly format: EntryFormat | null;
  /** Null: that of the outbox. */
  readonly trimMaxLength: LengthLimit | null;
  /** These events are left out. */
  readonly isDropped: boolean;
  /** Beside those of the outbox, and instead of them where they have the same name. */
  readonly staticFields: Readonly<Record<string, string>>;
}
