import { formatLsn, type Lsn } from '../core/lsn.ts';
import { ORIGIN } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Catalog } from '../source/catalog.ts';
import { NO_TABLE_HOLDS_IT } from '../source/message-problems.ts';
import { findProblems } from '../source/preflight.ts';
import {
  createPublicationSql,
  createTableSql,
  initLockSql,
  noteSlotSql,
  type TableColumns,
} from '../source/setup-sql.ts';
import { type CreatedSlot, createSlot } from './create-slot.ts';
import type { Ground } from './ground.ts';
import { isFreshSlot, laneMissing, snapshotUnfinished } from './history-guard.ts';
import type { RelayShape } from './relay-shape.ts';

export interface InitStep {
  readonly what: 'table' | 'messages' | 'publication' | 'slot' | 'lane state';
  readonly isNew: boolean;
  readonly detail: string;
}

export interface InitOptions {
  readonly createTable: boolean;
  readonly step: (step: InitStep) => void;
  /** Throws the first of the problems, if there is one, after it has shown the others. */
  readonly refuse: (problems: readonly WalrelayError[]) => void;
}

/**
 * `walrelay init`: table (if asked), publication, slot, lane state, in this order, each only if it is not there yet.
 * It never replaces a slot and never overwrites a lane state.
 */
export async function initialize(ground: Ground, options: InitOptions): Promise<void> {
  const { postgres, settings, lanes } = ground;
  const before = await prepareOutbox(ground, options, SLOT_TO_BE_MADE);

  let isNewSlot = false;
  if (before.slot === null) {
    const laneBefore = await lanes.read();
    if (laneBefore?.snapshot !== undefined) throw snapshotUnfinished(settings.slot, laneBefore.snapshot);
    if (laneBefore !== null) throw slotGone(settings.slot, laneBefore.floorLsn, ground.shape);
    const created = await createSlot(postgres, settings.slot, before.server);
    isNewSlot = true;
    await noteSlot(ground);
    options.step({ what: 'slot', isNew: true, detail: describeSlot(settings.slot, created) });
  } else {
    options.step({ what: 'slot', isNew: false, detail: settings.slot });
  }
  await initializeLane(ground, isNewSlot, options.step);
}

const SLOT_TO_BE_MADE: ReadonlySet<string> = new Set(['SLOT_MISSING']);

/**
 * Table (if asked) and publication, under the lock that inits take turns with. `slotProblems`: those of the slot that whoever
 * comes next deals with. Returns the catalog as it was.
 */
export async function prepareOutbox(
  ground: Ground,
  options: InitOptions,
  slotProblems: ReadonlySet<string>,
): Promise<Catalog> {
  const { settings } = ground;
  const names = ground.shape.expected;
  await ground.postgres.query(initLockSql(names));
  const before = await ground.readCatalog();
  const mends = new Set([
    'PUBLICATION_MISSING',
    ...slotProblems,
    ...(options.createTable ? ['TABLE_MISSING'] : []),
  ]);
  if (options.createTable && names.tables.length === 0) {
    throw new WalrelayError(
      'CONFIG_INVALID',
      '--create-table has no table to make: all outboxes are of messages',
    );
  }
  const [only] = options.createTable ? before.tables : [];
  const newTable = only?.table === null ? newTableColumns(ground.shape) : null;
  options.refuse(findProblems(before, names).filter(({ code }) => !mends.has(code)));

  for (const [place, { table }] of names.tables.entries()) {
    if (newTable !== null) await create(ground, createTableSql(table, newTable));
    const isNew = before.tables[place]?.table === null;
    options.step({ what: 'table', isNew, detail: `${table.schema}.${table.name}` });
  }
  for (const { settings: outbox } of ground.shape.messages)
    options.step({ what: 'messages', isNew: false, detail: `with the prefix ${outbox.messagePrefix}` });
  if (before.publication === null) {
    await create(ground, createPublicationSql(names));
  }

  // What is there now must be right before a slot begins to hold WAL for it.
  const problems = findProblems(await ground.readCatalog(), names);
  options.refuse(problems.filter(({ code }) => !slotProblems.has(code)));
  options.step({ what: 'publication', isNew: before.publication === null, detail: settings.publication });
  return before;
}

function describeSlot(name: string, { lsn, isFailover, refusal }: CreatedSlot): string {
  const from = `${name} from ${formatLsn(lsn)}`;
  if (isFailover) return `${from}, kept on standbys that synchronise slots`;
  return refusal === null ? from : `${from}; lost when a standby is promoted, since ${refusal}`;
}

async function initializeLane(
  ground: Ground,
  isNewSlot: boolean,
  step: (step: InitStep) => void,
): Promise<void> {
  const { settings, lanes } = ground;
  const catalog = await ground.readCatalog();
  const identity = await ground.readIdentity();
  const existing = await lanes.read();
  if (existing !== null) {
    await ground.checkHistory(existing, catalog, identity);
    step({ what: 'lane state', isNew: false, detail: settings.metaKey });
    return;
  }
  const confirmedLsn = catalog.slot?.confirmedLsn ?? null;
  if (confirmedLsn === null || !(isNewSlot || isFreshSlot(catalog, settings.slot))) {
    throw laneMissing(settings, catalog, false);
  }
  const isWritten = await lanes.write(
    {
      epoch: 1,
      fence: 0,
      watermark: ORIGIN,
      floorLsn: confirmedLsn,
      systemId: identity.systemId,
      timeline: identity.timeline,
      slot: settings.slot,
      database: catalog.server.database,
      publicationIdentity: catalog.publication?.identity ?? '',
      routing: ground.shape.routing,
      formats: ground.shape.formats,
    },
    null,
  );
  step({ what: 'lane state', isNew: isWritten, detail: settings.metaKey });
}

/** A table that is made for the relay has the columns that the settings name. */
export function newTableColumns({ tables }: Pick<RelayShape, 'tables'>): TableColumns {
  const [only, ...others] = tables;
  const [id, ...ids] = only?.settings.columnId ?? [];
  if (only === undefined || others.length > 0 || id === undefined || ids.length > 0) {
    throw new WalrelayError('CONFIG_INVALID', '--create-table makes one outbox with an id of one column', {
      hint: 'Create the tables yourself; `walrelay init` does the rest.',
    });
  }
  const { columnAggregateType, columnAggregateId, columnType, columnPayload, fields } = only.settings;
  const headers = Object.values(fields);
  const used = [id, columnAggregateType, columnAggregateId, columnType, columnPayload, ...headers];
  return {
    id,
    aggregateType: columnAggregateType,
    aggregateId: columnAggregateId,
    type: columnType,
    payload: columnPayload,
    others: only.outbox.columns.filter((column) => !used.includes(column)),
    headers,
  };
}

function slotGone(slot: string, floorLsn: Lsn, { tables }: Pick<RelayShape, 'tables'>): WalrelayError {
  return new WalrelayError(
    'SLOT_MISSING',
    `the slot ${slot} is gone, but Redis remembers it up to ${formatLsn(floorLsn)}: events since then may not have ` +
      'been relayed',
    {
      hint:
        tables.length === 0
          ? `Run \`walrelay epoch accept\`: it creates a new slot. ${NO_TABLE_HOLDS_IT}`
          : 'Run `walrelay recover`: it makes a new slot and publishes from the table what the streams lack. Or `walrelay epoch ' +
            'accept`: it says what may be missing, and creates a new slot without publishing anything.',
    },
  );
}

/** The relay's own role need not be allowed to create things: then somebody else does, once. */
async function create(ground: Ground, sql: string): Promise<void> {
  try {
    await ground.postgres.query(sql);
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'PG_PRIVILEGE') throw error;
    const statement = sql.replaceAll(/\s+/g, ' ');
    throw new WalrelayError('PG_PRIVILEGE', error.message, {
      cause: error.cause,
      hint:
        `As the owner of the table with CREATE on the database, run: ${statement} Then \`walrelay init\` again. ` +
        'Or have a DBA run all of `walrelay init --print-sql`.',
    });
  }
}

/** Only evidence for later: a role that doesn't own the publication can't write it, and nothing depends on it now. */
export async function noteSlot(ground: Ground, hasSnapshot = false): Promise<void> {
  try {
    await ground.postgres.query(noteSlotSql(ground.shape.expected, hasSnapshot));
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'PG_PRIVILEGE') throw error;
  }
}
