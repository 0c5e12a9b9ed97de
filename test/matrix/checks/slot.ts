import { expect } from 'vitest';
import { passSlack } from '../../support/audit-cli.ts';
import { dropSlot, expectWhole, loseSlot, recovered, relayAll } from '../../support/recovered.ts';
import { expectRelays, refusedRun } from '../../support/setup-refusal.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';

export const droppedSlot: Check = {
  id: 'recover',
  what: 'a dropped slot is refused; recover publishes what was missed once, up to where the new slot begins',
  async run(context, servers) {
    const outbox = await openOutbox(context, servers);
    await outbox.insert();
    await relayAll(outbox);
    // Redis 6.2 does not tell whether a stream lost entries: what is about as old as its first one would be in doubt.
    await passSlack(outbox);
    await dropSlot(outbox);
    for (let count = 0; count < 5; count += 1) await outbox.insert();
    expect(await refusedRun(outbox)).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });
    const report = await recovered(outbox);
    expect(report).toMatchObject({ reason: 'missing', published: 5, doubtful: 0 });
    await outbox.insert();
    await relayAll(outbox);
    expect(await expectWhole(outbox, report.slotLsn)).toEqual({ rows: 7, recovered: 5 });
    await expectRelays(outbox);
  },
};

export const lostSlot: Check = {
  id: 'lost-slot',
  what: 'a slot invalidated by max_slot_wal_keep_size is refused by that name, and recovered from',
  async run(context, servers) {
    const outbox = await openOutbox(context, servers);
    await outbox.insert();
    await relayAll(outbox);
    await passSlack(outbox);
    await setKeepSize('1MB');
    // Whatever comes: the checks after this one have the setting as they found it.
    context.defer(async () => await setKeepSize('-1'));
    await outbox.insert();
    await loseSlot(outbox);
    expect(await refusedRun(outbox)).toMatchObject({ code: 'SLOT_LOST', exitCode: 67 });
    await setKeepSize('-1');
    expect(await recovered(outbox)).toMatchObject({ published: 1, doubtful: 0 });
    await relayAll(outbox);
    expect(await expectWhole(outbox)).toEqual({ rows: 2, recovered: 1 });

    async function setKeepSize(size: string): Promise<void> {
      await outbox.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '${size}'`);
      await outbox.query('SELECT pg_reload_conf()');
      await waitFor('the setting to be read', async () => {
        const [row] = await outbox.query<{ size: string }>(
          "SELECT current_setting('max_slot_wal_keep_size') AS size",
        );
        return row?.size === size;
      });
    }
  },
};
