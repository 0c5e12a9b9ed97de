import type { ColumnKind } from '../core/column-kind.ts';

/**
 * Outbox tables that exist in the world, as data: what the settings are where one of these is named and nothing else is
 * said, and by which columns such a table is known. docs/presets.md says where each comes from and what to switch off.
 */
export interface Preset {
  /** Whose table it is. */
  readonly title: string;
  /** As they would stand in the file. The table is where the product puts it unless told otherwise. */
  readonly defaults: PresetDefaults;
  /** The columns without which it is not this table, with the kinds that they may be of. */
  readonly required: Readonly<Record<string, readonly ColumnKind[]>>;
  /** Others that it may have. */
  readonly optional: readonly string[];
  /** Its columns are like nobody else's: whatever the table is called, it is this one. */
  readonly isProduct: boolean;
  /** A table that has further columns is not this one: it has no more than everybody's has. */
  readonly isExact: boolean;
  /** What a user has to know of, one sentence each. */
  readonly cautions: readonly string[];
}

/** Settings of an outbox; the order column is that of the whole relay, for poll and init --snapshot. */
export type PresetDefaults = { readonly [Key in PresetKey]?: PresetValue };

type PresetKey =
  | 'table'
  | 'stream'
  | 'columnId'
  | 'columnType'
  | 'columnAggregateType'
  | 'columnAggregateId'
  | 'columnPayload'
  | 'columnTime'
  | 'fields'
  | 'routes'
  | 'pollOrderColumn';

export type PresetValue = string | boolean | { readonly [key: string]: PresetValue } | readonly PresetValue[];

const ANY_ID = ['integer', 'uuid', 'text'] as const;
const TEXT = ['text'] as const;
const DOCUMENT = ['json', 'text', 'bytes'] as const;
const TIME = ['time'] as const;

/** What people add to a table that somebody polls. */
const PROGRESS = [
  'status',
  'processed',
  'processed_at',
  'published',
  'published_at',
  'sent_at',
  'attempts',
  'retry_count',
  'last_error',
  'error_message',
  'created_at',
  'updated_at',
];

const NO_DELAY = 'A message that is to be delivered later is appended when its row is committed.';
const POLLED =
  'Whoever polls the table now goes on: let it finish, stop it, then start the relay. Rows that it had not sent: init --snapshot --where.';

/** What its tables have in common, whoever makes the ids. */
const EVENTUATE = {
  defaults: {
    table: 'eventuate.message',
    columnType: 'none',
    columnAggregateType: 'none',
    columnAggregateId: 'none',
    columnTime: 'none',
    fields: { destination: 'destination', headers: 'headers', message_partition: 'message_partition' },
    stream: 'outbox.${destination}',
    routes: [{ when: { published: '1' }, drop: true }],
  },
  required: {
    id: TEXT,
    destination: TEXT,
    headers: DOCUMENT,
    payload: DOCUMENT,
    published: ['integer'],
    message_partition: ['integer'],
    creation_time: ['integer'],
  },
  caution:
    'The Eventuate CDC service is to be stopped, or both deliver; if it read the WAL, drop its slot (eventuate_slot), which keeps WAL.',
} as const;

export const PRESETS = {
  walrelay: {
    title: 'the table of walrelay init --create-table',
    defaults: {},
    required: {
      id: ANY_ID,
      aggregatetype: TEXT,
      aggregateid: ANY_ID,
      type: TEXT,
      payload: DOCUMENT,
      created_at: TIME,
    },
    optional: [],
    isProduct: false,
    isExact: false,
    cautions: [],
  },
  debezium: {
    title: 'the EventRouter of Debezium, with its default columns',
    defaults: { stream: 'outbox.event.${aggregatetype}', columnTime: 'none' },
    required: { id: ANY_ID, aggregatetype: TEXT, aggregateid: ANY_ID, type: TEXT, payload: DOCUMENT },
    optional: ['timestamp'],
    isProduct: false,
    isExact: false,
    cautions: [
      'A Debezium that reads the table goes on doing so: stop it, and drop its slot, or it keeps WAL.',
      'Entries are native ones; for consumers of Debezium Server add format: debezium (docs/formats.md).',
    ],
  },
  'pg-transactional-outbox': {
    title: 'the npm package pg-transactional-outbox',
    defaults: {
      columnAggregateType: 'aggregate_type',
      columnAggregateId: 'aggregate_id',
      columnType: 'message_type',
      fields: { segment: 'segment', concurrency: 'concurrency', metadata: 'metadata' },
      stream: 'outbox.${aggregatetype}',
    },
    required: {
      id: ['uuid'],
      aggregate_type: TEXT,
      aggregate_id: TEXT,
      message_type: TEXT,
      segment: TEXT,
      concurrency: TEXT,
      payload: DOCUMENT,
      metadata: DOCUMENT,
      locked_until: TIME,
      created_at: TIME,
    },
    optional: ['processed_at', 'abandoned_at', 'started_attempts', 'finished_attempts'],
    isProduct: true,
    isExact: false,
    cautions: [
      'Its own listener is to be stopped, or both deliver; one that replicated leaves a slot, which keeps WAL: drop it.',
      'Its clean-up stops with its listener: use WALRELAY_CLEANUP.',
      NO_DELAY,
    ],
  },
  masstransit: {
    title: 'the Entity Framework outbox of MassTransit',
    defaults: {
      table: 'public."OutboxMessage"',
      columnId: 'MessageId',
      columnType: 'MessageType',
      columnAggregateType: 'none',
      columnAggregateId: 'none',
      columnPayload: 'Body',
      columnTime: 'none',
      fields: {
        content_type: 'ContentType',
        headers: 'Headers',
        properties: 'Properties',
        conversation_id: 'ConversationId',
        correlation_id: 'CorrelationId',
        initiator_id: 'InitiatorId',
        request_id: 'RequestId',
        source_address: 'SourceAddress',
        destination_address: 'DestinationAddress',
        response_address: 'ResponseAddress',
        fault_address: 'FaultAddress',
        sent_time: 'SentTime',
        enqueue_time: 'EnqueueTime',
        expiration_time: 'ExpirationTime',
      },
      stream: 'outbox.masstransit',
      pollOrderColumn: 'SequenceNumber',
    },
    required: {
      SequenceNumber: ['integer'],
      MessageId: ['uuid'],
      ContentType: TEXT,
      Body: TEXT,
      DestinationAddress: TEXT,
      EnqueueTime: TIME,
      SentTime: TIME,
      OutboxId: ['uuid'],
    },
    optional: [
      'MessageType',
      'Headers',
      'Properties',
      'InboxMessageId',
      'InboxConsumerId',
      'ConversationId',
      'CorrelationId',
      'InitiatorId',
      'RequestId',
      'SourceAddress',
      'ResponseAddress',
      'FaultAddress',
      'ExpirationTime',
    ],
    isProduct: true,
    isExact: false,
    cautions: [
      'MassTransit delivers the rows as well, and deletes them then: switch the delivery off with UseBusOutbox(o => o.DisableDeliveryService()).',
      'The outbox of a consumer delivers by itself and can’t be switched off: of its messages Redis has a second copy.',
      'The payload is what the serializer wrote, by default an envelope with the message in it.',
      NO_DELAY,
    ],
  },
  cap: {
    title: '.NET CAP (DotNetCore.CAP.PostgreSql)',
    defaults: {
      table: 'cap.published',
      columnId: 'Id',
      columnType: 'Name',
      columnAggregateType: 'none',
      columnAggregateId: 'none',
      columnPayload: 'Content',
      columnTime: 'none',
      fields: { version: 'Version' },
      stream: 'outbox.${type}',
      pollOrderColumn: 'Id',
    },
    required: {
      Id: ['integer'],
      Version: TEXT,
      Name: TEXT,
      Content: TEXT,
      Retries: ['integer'],
      Added: TIME,
      ExpiresAt: TIME,
      StatusName: TEXT,
    },
    optional: [],
    isProduct: true,
    isExact: true,
    cautions: [
      'CAP has no switch for its own sending: its transport gets every message as well, and Redis a second copy.',
      'The payload is an envelope: {"Headers": …, "Value": …}, the message in Value.',
      NO_DELAY,
    ],
  },
  'eventuate-tram': {
    title: 'Eventuate Tram, ids made by the application',
    defaults: { ...EVENTUATE.defaults, pollOrderColumn: 'id' },
    required: EVENTUATE.required,
    optional: [],
    isProduct: true,
    isExact: true,
    cautions: [
      EVENTUATE.caution,
      'Event type, aggregate and partition key are in the field headers, a JSON object.',
    ],
  },
  'eventuate-tram-dbid': {
    title: 'Eventuate Tram, ids made by the database',
    defaults: { ...EVENTUATE.defaults, columnId: 'dbid', pollOrderColumn: 'dbid' },
    required: { dbid: ['integer'], ...EVENTUATE.required },
    optional: [],
    isProduct: true,
    isExact: true,
    cautions: [
      EVENTUATE.caution,
      'Event type, aggregate and partition key are in the field headers, a JSON object. It has no ID: the CDC service makes that of dbid.',
    ],
  },
  rails: {
    title: 'outbox_events, as Rails applications have it',
    defaults: {
      table: 'public.outbox_events',
      columnAggregateType: 'aggregate_type',
      columnAggregateId: 'aggregate_id',
      columnType: 'event_type',
      columnTime: 'none',
      stream: 'outbox.${aggregatetype}',
      pollOrderColumn: 'id',
    },
    required: { id: ANY_ID, aggregate_type: TEXT, aggregate_id: ANY_ID, event_type: TEXT, payload: DOCUMENT },
    optional: PROGRESS,
    isProduct: false,
    isExact: false,
    cautions: [POLLED],
  },
  'outbox-processed-at': {
    title: 'outbox (id, aggregate_id, event_type, payload, processed_at), as small projects have it',
    defaults: {
      columnAggregateType: 'none',
      columnAggregateId: 'aggregate_id',
      columnType: 'event_type',
      columnTime: 'none',
      stream: 'outbox.events',
      pollOrderColumn: 'id',
    },
    required: { id: ANY_ID, aggregate_id: ANY_ID, event_type: TEXT, payload: DOCUMENT, processed_at: TIME },
    optional: PROGRESS,
    isProduct: false,
    isExact: true,
    cautions: [POLLED],
  },
  'outbox-status': {
    title: 'outbox_events (id, payload, status, created_at), as small projects have it',
    defaults: {
      table: 'public.outbox_events',
      columnType: 'none',
      columnAggregateType: 'none',
      columnAggregateId: 'none',
      stream: 'outbox.events',
    },
    required: {
      id: ANY_ID,
      payload: DOCUMENT,
      status: ['text', 'integer', 'other'],
      created_at: TIME,
    },
    optional: PROGRESS,
    isProduct: false,
    isExact: true,
    cautions: [POLLED],
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];

/** Undefined for what is no preset's name. */
export function findPreset(name: unknown): Preset | undefined {
  const known = PRESET_NAMES.find((one) => one === name);
  return known === undefined ? undefined : PRESETS[known];
}

/** Whether the preset's table may have a column of this name. */
export function hasColumn({ required, optional }: Preset, column: string): boolean {
  return Object.hasOwn(required, column) || optional.includes(column);
}

/** What a preset says about a setting, in the form in which it would come from the file; undefined: nothing. */
export function presetValue(preset: Preset | undefined, key: string): unknown {
  const defaults: Readonly<Record<string, PresetValue>> = preset?.defaults ?? {};
  const value = defaults[key];
  return value === undefined ? undefined : asRead(value);
}

/** Maps of a YAML file are read as Maps. */
function asRead(value: PresetValue): unknown {
  if (typeof value !== 'object') return value;
  if (isList(value)) return value.map(asRead);
  return new Map(Object.entries(value).map(([key, part]) => [key, asRead(part)]));
}

function isList(value: PresetValue): value is readonly PresetValue[] {
  return Array.isArray(value);
}
