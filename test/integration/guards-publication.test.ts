import { expect, test } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import type { Daemon } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import {
  acceptEpoch,
  expectRelays,
  idsOf,
  type Refusal,
  refusalOf,
  refusedRun,
} from '../support/setup-refusal.ts';

interface Halt extends Refusal {
  /** The last position that was certainly before the trouble. */
  readonly before: string;
}

/** Relays an event, does what should stop the relay, inserts another event, and waits for the end. */
async function haltBy(outbox: Outbox, daemon: Daemon, trouble: string): Promise<Halt> {
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  const [row] = await outbox.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  await outbox.query(trouble);
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', '{}')",
  );
  const result = await daemon.exited;
  return { ...refusalOf(result, outbox.env), before: row?.lsn ?? '' };
}

/** Whatever was inserted after the trouble is not confirmed: the slot still holds it. */
async function expectNotConfirmedPast(outbox: Outbox, lsn: string): Promise<void> {
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(parseLsn(lsn));
}

const TROUBLES = {
  'a publication that is dropped': 'DROP PUBLICATION walrelay',
  'a publication that loses the table': 'ALTER PUBLICATION walrelay DROP TABLE outbox',
  'a table that is taken out of the publication and put back at once':
    'ALTER PUBLICATION walrelay DROP TABLE outbox; ALTER PUBLICATION walrelay ADD TABLE outbox',
  'a publication that is dropped and made again at once':
    'DROP PUBLICATION walrelay; CREATE PUBLICATION walrelay FOR TABLE outbox',
  'a row filter that is added': "ALTER PUBLICATION walrelay SET TABLE outbox WHERE (type <> 't')",
  'a publication that stops publishing inserts': "ALTER PUBLICATION walrelay SET (publish = 'update')",
};

for (const [what, trouble] of Object.entries(TROUBLES)) {
  test(`${what} while the relay streams stops it; nothing is confirmed past it`, async () => {
    await using outbox = await createOutbox();
    const halt = await haltBy(outbox, outbox.start(), trouble);
    expect(halt).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
    // Up to version 17 the stream itself may be first to say that a publication is gone.
    expect(halt.message).toMatch(
      /publication.*othing was confirmed past|publication "walrelay" does not exist/,
    );
    expect(halt.hint).toMatch(/compare the table with the streams|walrelay epoch accept/);
    await expectNotConfirmedPast(outbox, halt.before);
  });
}

test('after a change that left nothing out, a new epoch goes on and every event arrives once', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await haltBy(outbox, outbox.start(), 'ALTER PUBLICATION walrelay SET (publish_via_partition_root = false)');
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
  expect(refusal.hint).toContain('walrelay epoch accept');
  const accepted = await acceptEpoch(outbox);
  expect(accepted).toContain('never published: they may be missing');
  await expectRelays(outbox);
  expect(await expectExact(outbox, oracle)).toBe(3);
});

test('a table that was out of the publication while the relay was down stops the next start', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await outbox.query('ALTER PUBLICATION walrelay DROP TABLE outbox');
  const lost = await outbox.insert();
  await outbox.query('ALTER PUBLICATION walrelay ADD TABLE outbox');
  const kept = await outbox.insert();
  expect(await refusedRun(outbox)).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
  expect(await acceptEpoch(outbox)).toContain('never published: they may be missing');
  await expectRelays(outbox);
  const ids = await idsOf(outbox);
  expect({ lost: ids.includes(lost), kept: ids.includes(kept) }).toEqual({ lost: false, kept: true });
});

test('a table that is dropped and made again under its name stops the relay', async () => {
  await using outbox = await createOutbox();
  const [row] = await outbox.query<{ ddl: string }>(
    "SELECT 'CREATE TABLE outbox (id uuid DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload jsonb)' AS ddl",
  );
  const halt = await haltBy(outbox, outbox.start(), `DROP TABLE outbox; ${row?.ddl}`);
  expect(halt).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
  await expectNotConfirmedPast(outbox, halt.before);
  expect(await refusedRun(outbox)).toMatchObject({ code: 'PUBLICATION_UNSUITABLE', exitCode: 65 });
});

test('a slot that is dropped while the relay streams is not made again in silence', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(
    `SELECT pg_terminate_backend(active_pid), pg_sleep(0) FROM pg_replication_slots WHERE slot_name = $1`,
    [outbox.name],
  );
  for (;;) {
    try {
      await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
      break;
    } catch {
      // The relay was quicker and holds it again.
      await outbox.query(
        'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1',
        [outbox.name],
      );
    }
  }
  const refusal = refusalOf(await daemon.exited, outbox.env);
  expect(refusal).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });
});
