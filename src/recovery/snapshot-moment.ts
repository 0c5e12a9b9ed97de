import { clientConfig } from '../config/client-config.ts';
import { formatLsn, type Lsn, lsnToHex, ZERO_LSN } from '../core/lsn.ts';
import type { Ground } from '../relay/ground.ts';
import { noteSlot } from '../relay/initialize.ts';
import type { Outbox } from '../route/outbox.ts';
import { ReplicationConnection } from '../source/replication-connection.ts';
import type { SnapshotReader } from '../source/snapshot-reader.ts';
import { exportSnapshot, replaceSlot } from './exported-slot.ts';
import { readSlotIds } from './slot-ids.ts';
import type { Facts } from './snapshot-lanes.ts';
import type { SnapshotStart } from './snapshot-plan.ts';

export interface MomentOptions {
  readonly isDryRun: boolean;
  readonly holder: string;
  readonly step: (text: string) => void;
  readonly now: () => Date;
}

/**
 * Opens the moment that the rows of all tables are read of: that of the slot's beginning, which is made for it; or, where the
 * slot is there, one behind it, and hands over the ids of the events that the slot will send of those rows. Returns from where
 * the slot streams; null where there is none.
 */
export async function beginMoment(
  ground: Ground,
  facts: Facts,
  reader: SnapshotReader,
  about: {
    readonly start: SnapshotStart;
    readonly options: MomentOptions;
    readonly take: (id: string, outbox: Outbox) => void;
  },
): Promise<Lsn | null> {
  const { settings, shape } = ground;
  const { catalog } = facts;
  const { start, options, take } = about;
  if (start === 'begin' || start === 'anew') {
    if (!options.isDryRun) return beginSlot(ground, facts, reader, options);
    await reader.begin(null);
    return null;
  }
  const slotLsn = catalog.slot?.confirmedLsn ?? ZERO_LSN;
  const untilLsn = await beginBesideSlot(ground, facts, reader, options);
  options.step(
    `reading the slot from ${formatLsn(slotLsn)} to ${formatLsn(untilLsn)}: what it sends is left out`,
  );
  const isRaw = catalog.server.serverEncoding === 'SQL_ASCII';
  const config = clientConfig(settings, options.holder);
  await readSlotIds(config, { settings, shape, catalog, isRaw, untilLsn, take });
  return slotLsn;
}

/** Makes the slot, and opens the snapshot of its beginning. */
async function beginSlot(
  ground: Ground,
  { catalog }: Facts,
  reader: SnapshotReader,
  { step }: MomentOptions,
): Promise<Lsn> {
  const { postgres, settings, lanes } = ground;
  const { slotLsn, snapshot } = await replaceSlot(postgres, settings.slot, catalog, step);
  await reader.begin(snapshot);
  await noteSlot(ground, true);
  await lanes.annotate({ floor: lsnToHex(slotLsn) });
  return slotLsn;
}

/**
 * Opens a snapshot whose place in the WAL is known, beside a slot that began earlier: that of another slot, which is gone at
 * once. Returns the place.
 */
async function beginBesideSlot(
  ground: Ground,
  { catalog }: Facts,
  reader: SnapshotReader,
  { step, holder, isDryRun, now }: MomentOptions,
): Promise<Lsn> {
  const { settings } = ground;
  if (!isDryRun) await noteSlot(ground, true);
  const postgres = await ReplicationConnection.open(clientConfig(settings, holder));
  try {
    // A name of its own: that of a killed run may live on for a moment.
    const name = `${settings.slot.slice(0, 48)}_${now().getTime().toString(36)}`;
    const { slotLsn, snapshot } = await exportSnapshot(postgres, name, catalog, step);
    await reader.begin(snapshot);
    return slotLsn;
  } finally {
    await postgres.close(GOODBYE_TIMEOUT_MS);
  }
}

const GOODBYE_TIMEOUT_MS = 500;
