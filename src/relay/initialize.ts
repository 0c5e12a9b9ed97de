import { formatLsn, parseLsn } from '../core/lsn.ts';
import { ORIGIN } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { findProblems, findServerProblems } from '../source/preflight.ts';
import { createPublicationSql, createSlotSql, createTableSql, noteSlotSql } from '../source/setup-sql.ts';
import type { Ground } from './ground.ts';
import { isFreshSlot, laneMissing } from './history-guard.ts';

export interface InitStep {
  readonly what: 'table' | 'publication' | 'slot' | 'lane state';
  readonly isNew: boolean;
  readonly detail: string;
}

/**
 * `walrelay init`: table (if asked), publication, slot, lane state, in this order, each only if it is not there yet.
 * It never replaces a slot and never overwrites a lane state.
 */
export async function initialize(
  ground: Ground,
  options: { readonly createTable: boolean; readonly step: (step: InitStep) => void },
): Promise<void> {
  const { postgres, shape, settings, lane } = ground;
  const names = shape.expected;
  const before = await ground.readCatalog();
  const [serverProblem] = findServerProblems(before.server);
  if (serverProblem !== undefined) throw serverProblem;
  const laneBefore = await lane.read();
  if (before.slot === null && laneBefore !== null) {
    throw new WalrelayError(
      'SLOT_MISSING',
      `the slot ${settings.slot} is gone, but Redis remembers it up to ${formatLsn(laneBefore.floorLsn)}: ` +
        'events since then may not have been relayed',
      {
        hint: 'Run `walrelay epoch accept`: it says what may be missing, and creates a new slot when told to.',
      },
    );
  }

  if (before.table === null && options.createTable) await postgres.query(createTableSql(names));
  if (before.table !== null || options.createTable) {
    const { schema, name } = names.table;
    options.step({ what: 'table', isNew: before.table === null, detail: `${schema}.${name}` });
  }
  if (before.publication === null && before.slot === null && (before.table !== null || options.createTable)) {
    await postgres.query(createPublicationSql(names));
  }

  // What is there now must be right before a slot begins to hold WAL for it.
  const problems = findProblems(await ground.readCatalog(), names);
  const [problem] = problems.filter((found) => found.code !== 'SLOT_MISSING');
  if (problem !== undefined) throw problem;
  options.step({ what: 'publication', isNew: before.publication === null, detail: settings.publication });

  let isNewSlot = false;
  if (before.slot === null) {
    const [row] = await postgres.query(createSlotSql(names));
    isNewSlot = true;
    await noteSlot(ground);
    options.step({
      what: 'slot',
      isNew: true,
      detail: `${settings.slot} from ${formatLsn(parseLsn(String(row?.['lsn'])))}`,
    });
  } else {
    options.step({ what: 'slot', isNew: false, detail: settings.slot });
  }
  await initializeLane(ground, isNewSlot, options.step);
}

async function initializeLane(
  ground: Ground,
  isNewSlot: boolean,
  step: (step: InitStep) => void,
): Promise<void> {
  const { settings, lane } = ground;
  const catalog = await ground.readCatalog();
  const identity = await ground.readIdentity();
  const existing = await lane.read();
  if (existing !== null) {
    await ground.checkHistory(existing, catalog, identity);
    step({ what: 'lane state', isNew: false, detail: settings.metaKey });
    return;
  }
  const confirmedLsn = catalog.slot?.confirmedLsn ?? null;
  if (confirmedLsn === null || !(isNewSlot || isFreshSlot(catalog, settings.slot))) {
    throw laneMissing(settings.metaKey, catalog, false);
  }
  const isWritten = await lane.write(
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
    },
    null,
  );
  step({ what: 'lane state', isNew: isWritten, detail: settings.metaKey });
}

/** Only evidence for later: a role that doesn't own the publication can't write it, and nothing depends on it now. */
async function noteSlot(ground: Ground): Promise<void> {
  try {
    await ground.postgres.query(noteSlotSql(ground.shape.expected));
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'PG_PRIVILEGE') throw error;
  }
}
