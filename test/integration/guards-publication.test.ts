import { expect, test } from 'vitest';
import { expectExact, Oracle } from '../support/exactness.ts';
import { expectNotConfirmedPast, haltBy } from '../support/publication-halt.ts';
import { createOutbox } from '../support/servers.ts';
import { acceptEpoch, expectRelays, idsOf, refusalOf, refusedRun } from '../support/setup-refusal.ts';

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
  expect(halt).toMatchObject({ code: 'TABLE_REPLACED', exitCode: 67 });
  await expectNotConfirmedPast(outbox, halt.notPast);
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
