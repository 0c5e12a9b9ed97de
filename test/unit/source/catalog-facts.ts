import { parseLsn } from '../../../src/core/lsn.ts';
import type {
  Catalog,
  PublicationFacts,
  ServerFacts,
  SlotFacts,
  TableFacts,
} from '../../../src/source/catalog.ts';
import type { Expectations } from '../../../src/source/preflight.ts';

/** A catalog with which nothing is wrong, and what each test wants wrong with it. */
export function catalogWith(
  wrong: {
    readonly server?: Partial<ServerFacts>;
    readonly table?: Partial<TableFacts> | null;
    readonly publication?: Partial<PublicationFacts> | null;
    readonly slot?: Partial<SlotFacts> | null;
    readonly namedTableOid?: number | null;
  } = {},
): Catalog {
  return {
    server: { ...SERVER, ...wrong.server },
    tables: [
      {
        table: wrong.table === null ? null : { ...TABLE, ...wrong.table },
        namedTableOid: wrong.namedTableOid === undefined ? TABLE.oid : wrong.namedTableOid,
        publication: wrong.publication === null ? null : { ...PUBLICATION, ...wrong.publication },
      },
    ],
    publication: wrong.publication === null ? null : { ...PUBLICATION, ...wrong.publication },
    slot: wrong.slot === null ? null : { ...SLOT, ...wrong.slot },
  };
}

const COLUMNS = ['id', 'type', 'aggregatetype', 'aggregateid', 'payload'];

export const EXPECTED: Expectations = {
  tables: [{ table: { schema: 'public', name: 'outbox' }, columns: COLUMNS, place: null }],
  publication: 'walrelay',
  slot: 'walrelay',
};

const SERVER: ServerFacts = {
  versionNumber: 170_010,
  version: '17.10',
  database: 'shop',
  user: 'relay',
  canReplicate: true,
  walLevel: 'logical',
  clientEncoding: 'UTF8',
  serverEncoding: 'UTF8',
  isInRecovery: false,
  walEndLsn: parseLsn('0/5000'),
  walSenderTimeoutMs: 60_000,
  synchronousStandbyNames: '',
  idleSlotTimeoutS: 0,
  physicalSlots: [],
  synchronizedStandbySlots: '',
  canAllEmit: null,
};

const TABLE: TableFacts = {
  oid: 16_385,
  schema: 'public',
  name: 'outbox',
  kind: 'r',
  persistence: 'p',
  columns: [...COLUMNS, 'created_at'],
  unloggedPartitions: [],
  partitions: [],
};

const PUBLICATION: PublicationFacts = {
  publishesInserts: true,
  isViaRoot: false,
  isForAllTables: false,
  coversTable: true,
  sentAs: null,
  rowFilter: null,
  publishedColumns: null,
  identity: 'publication 16390:740 table 16385 member 16391:740',
  alterations: [],
  comment: null,
  otherTables: [],
  memberOids: [],
};

const SLOT: SlotFacts = {
  plugin: 'pgoutput',
  slotType: 'logical',
  database: 'shop',
  isTemporary: false,
  isActive: false,
  holder: null,
  restartLsn: parseLsn('0/3000'),
  confirmedLsn: parseLsn('0/4000'),
  walStatus: 'reserved',
  invalidationReason: null,
  safeWalBytes: null,
  retainedBytes: 8192,
  isTwoPhase: false,
  isFailover: true,
  isSynced: false,
};
