import { expect } from 'vitest';
import { audit, entryOf, passSlack } from '../../support/audit-cli.ts';
import { relayAll } from '../../support/recovered.ts';
import { acceptEpoch, expectRelays, idsOf, refusedRun } from '../../support/setup-refusal.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';

export const auditAndRepair: Check = {
  id: 'audit',
  what: 'audit finds an entry that is gone, --repair appends it once, and the relay goes on',
  async run(context, servers) {
    const outbox = await openOutbox(context, servers);
    const daemon = outbox.start();
    await daemon.streaming();
    const ids = [await outbox.insert()];
    await outbox.waitForLength(outbox.stream(), 1);
    await passSlack(outbox);
    while (ids.length < 4) ids.push(await outbox.insert({ payload: `{"n": ${ids.length}, "text": "ß漢"}` }));
    await outbox.waitForLength(outbox.stream(), 4);
    expect(await audit(outbox)).toMatchObject({ exitCode: 0, report: { findings: { missing: 0 } } });

    const gone = ids[2] as string;
    await outbox.redis.xdel(outbox.stream(), await entryOf(outbox, gone));
    expect(await audit(outbox)).toMatchObject({ exitCode: 71, report: { findings: { missing: 1 } } });
    expect(await audit(outbox, ['--repair', '--yes'])).toMatchObject({
      exitCode: 0,
      report: { repair: { isDone: true, recovered: 1, left: 0 } },
    });
    expect((await idsOf(outbox)).sort()).toEqual([...ids].sort());
    await outbox.insert();
    await outbox.waitForLength(outbox.stream(), 5);
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  },
};

export const epochs: Check = {
  id: 'epoch',
  what: 'a Redis without its lane state, one that went back, and a slot advanced by hand are refused; epoch accept goes on',
  async run(context, servers) {
    const outbox = await openOutbox(context, servers);
    await outbox.insert();
    await relayAll(outbox);
    await outbox.redis.del(outbox.metaKey);
    expect(await refusedRun(outbox)).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
    await acceptEpoch(outbox);
    await expectRelays(outbox);

    const older = await outbox.redis.hgetall(outbox.metaKey);
    await outbox.insert();
    await relayAll(outbox);
    await outbox.redis.hset(outbox.metaKey, older);
    expect(await refusedRun(outbox)).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
    await acceptEpoch(outbox);
    await expectRelays(outbox);

    await outbox.insert({ aggregateType: 'skipped' });
    await outbox.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [outbox.name]);
    expect(await refusedRun(outbox)).toMatchObject({ code: 'REDIS_BEHIND', exitCode: 67 });
    expect(await acceptEpoch(outbox)).toContain('they may be missing');
    await expectRelays(outbox);
    expect(await outbox.redis.xlen(outbox.stream('skipped'))).toBe(0);
  },
};
