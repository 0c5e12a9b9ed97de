import { type ColumnKind, columnKind } from '../core/column-kind.ts';
import type { SurveyedColumn, SurveyedTable } from '../source/table-survey.ts';

/** What the columns of a table may be to an outbox, by their names and types. */
export interface ColumnRoles {
  /** Several where they identify a row only together; empty: nothing does. */
  readonly id: readonly string[];
  readonly type: FoundColumn | null;
  readonly aggregateType: FoundColumn | null;
  readonly aggregateId: FoundColumn | null;
  readonly payload: FoundColumn | null;
  readonly time: FoundColumn | null;
  /** What an entry had better carry along: trace context, headers, tenant. */
  readonly headers: readonly string[];
  /** What says how far somebody is with a row: so somebody polls the table. */
  readonly progress: readonly string[];
}

export interface FoundColumn {
  readonly name: string;
  readonly kind: ColumnKind;
  /** Many other tables have a column of this name too. */
  readonly isCommon: boolean;
}

/** Generated columns are left out: a slot does not send them. */
export function findRoles(table: SurveyedTable): ColumnRoles {
  const usable = table.columns.filter(({ name, isGenerated }) => !isGenerated && name !== NO_COLUMN);
  const taken = new Set<string>();
  const find = (names: readonly string[], kinds: readonly ColumnKind[]): FoundColumn | null => {
    for (const wanted of names) {
      const found = usable.find(
        ({ name, type }) =>
          plainName(name) === wanted && kinds.includes(columnKind(type)) && !taken.has(name),
      );
      if (found === undefined) continue;
      taken.add(found.name);
      return { name: found.name, kind: columnKind(found.type), isCommon: COMMON.includes(wanted) };
    }
    return null;
  };
  const id = findId(usable, table);
  for (const name of id) taken.add(name);
  const payload = find(PAYLOADS, ['json', 'bytes', 'text']) ?? onlyDocument(usable, taken);
  if (payload !== null) taken.add(payload.name);
  const aggregateType = find(AGGREGATE_TYPES, ['text', 'other']);
  const type = find(TYPES, ['text', 'other', 'integer']);
  const aggregateId = find(AGGREGATE_IDS, ['text', 'uuid', 'integer']) ?? idOfAggregate(id);
  const time = find(TIMES, ['time']);
  const rest = usable.filter(({ name }) => !taken.has(name));
  return {
    id,
    type,
    aggregateType,
    aggregateId,
    payload,
    time,
    headers: rest
      .filter(({ name }) => HEADERS.includes(plainName(name)) && !/\p{Cc}/u.test(name))
      .map(({ name }) => name),
    progress: table.columns
      .filter(({ name, type: given }) => PROGRESS.test(plainName(name)) && columnKind(given) !== 'json')
      .map(({ name }) => name),
  };
}

/** `none` in a mapping means that there is no such column. */
const NO_COLUMN = 'none';

/** By name, if it is unique by itself or nothing is; else by the primary key. */
function findId(usable: readonly SurveyedColumn[], table: SurveyedTable): readonly string[] {
  const isUnique = (name: string) =>
    table.uniqueColumns.includes(name) || (table.primaryKey.length === 1 && table.primaryKey[0] === name);
  const named = IDS.flatMap((wanted) => usable.filter(({ name }) => plainName(name) === wanted));
  const [best] = [...named.filter(({ name }) => isUnique(name)), ...named];
  const key = table.primaryKey.filter((name) => usable.some((column) => column.name === name));
  if (best !== undefined && (isUnique(best.name) || key.length === 0 || key.includes(best.name))) {
    // Part of a key, as that of a partitioned table is: by its name it still tells events apart.
    return [best.name];
  }
  if (key.length > 0 && key.length === table.primaryKey.length) return key;
  return best === undefined ? [] : [best.name];
}

/** Whether Postgres keeps two rows from having one id. */
export function isUniqueId(table: SurveyedTable, id: readonly string[]): boolean {
  const { primaryKey, uniqueColumns } = table;
  if (primaryKey.length > 0 && primaryKey.every((column) => id.includes(column))) return true;
  return id.some((column) => uniqueColumns.includes(column));
}

/** A key of several columns often begins with what the event is about. */
function idOfAggregate(id: readonly string[]): FoundColumn | null {
  const name = id.length > 1 ? id.find((column) => /.id$/.test(plainName(column))) : undefined;
  return name === undefined ? null : { name, kind: 'other', isCommon: true };
}

function onlyDocument(usable: readonly SurveyedColumn[], taken: ReadonlySet<string>): FoundColumn | null {
  const documents = usable.filter(
    ({ name, type }) =>
      ['json', 'bytes'].includes(columnKind(type)) && !taken.has(name) && !HEADERS.includes(plainName(name)),
  );
  const [only, ...others] = documents;
  if (only === undefined || others.length > 0) return null;
  return { name: only.name, kind: columnKind(only.type), isCommon: true };
}

/** `aggregate_id`, `AggregateId` and `aggregateid` are one name. */
export function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');
}

const IDS = ['id', 'eventid', 'messageid', 'outboxid', 'uuid', 'eventuuid', 'messageuuid', 'guid', 'uid'];
const PAYLOADS = (
  'payload eventpayload messagepayload payloadjson jsonpayload eventdata messagebody eventbody ' +
  'eventjson messagedata body data content message event document doc'
).split(' ');
const TYPES = ['eventtype', 'messagetype', 'eventname', 'messagename', 'type', 'kind', 'name', 'event'];
const AGGREGATE_TYPES = (
  'aggregatetype aggregatename aggregate entitytype resourcetype streamtype objecttype destination ' +
  'topic channel exchange routingkey subject queue category'
).split(' ');
const AGGREGATE_IDS = (
  'aggregateid aggregateidentifier aggregaterootid entityid resourceid streamid objectid partitionkey ' +
  'messagekey eventkey routingid key'
).split(' ');
const TIMES = (
  'createdat insertedat occurredat created createdon occurredon createddate datecreated creationdate ' +
  'creationtime enqueuedat eventtime timestamp time createdtime addedat added addedon'
).split(' ');
const HEADERS = (
  'traceparent tracestate traceid spanid tracingspancontext baggage headers metadata correlationid ' +
  'causationid tenant tenantid contenttype schemaversion eventversion'
).split(' ');
const PROGRESS =
  /^(?:status|state|statusname|(?:is)?(?:processed|published|sent|dispatched|delivered|relayed)(?:at|on|date|time|utc)?|attempts|attemptcount|retries|retrycount|lockedat|lockeduntil|lockedby)$/;
/** Worth half: they are no sign of an outbox. */
const COMMON = (
  'name kind event key body data content message document doc category topic subject queue channel time ' +
  'aggregate'
).split(' ');
