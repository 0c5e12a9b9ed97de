import { expect, test } from 'vitest';
import type { AuditReport } from '../../src/audit/audit-report.ts';
import { audit, passSlack } from '../support/audit-cli.ts';
import { isLong } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { readEntries } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

const SEED = chaosSeed('audit');
const ROUNDS = isLong ? 60 : 6;
const ROUNDS_MAX = 100;
const NOTHING = { missing: 0, duplicated: 0, misordered: 0, altered: 0, foreign: 0 };

/** The examples of what must not have been found: what a failure has to show. */
function findingExamples({ examples }: AuditReport): AuditReport['examples'] {
  return Object.fromEntries(Object.entries(examples).filter(([name]) => name in NOTHING));
}

/** Kills the relay, or its walsender, or neither, again and again; ends with dispose, and leaves a relay running. */
class Disturbance implements AsyncDisposable {
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(outbox: Outbox, random: Random) {
    this.#ended = this.#disturb(outbox, random);
  }

  async #disturb(outbox: Outbox, random: Random): Promise<void> {
    let daemon = outbox.start();
    while (!this.#isOver) {
      await sleep(random.int(300, 2500));
      const draw = random.next();
      if (draw < 0.5) {
        await daemon.kill();
        if (random.next() < 0.3) await sleep(random.int(0, 1500));
        daemon = outbox.start();
      } else if (draw < 0.8) {
        await outbox.query(
          'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active',
          [outbox.name],
        );
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }
}

test(`while relays are killed and streams trimmed under load, an audit never calls anything missing (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  await using outbox = await createOutbox({ env: { WALRELAY_REPLAY_WINDOW_MS: '1000' } });
  let inFlight = 0;
  let rows = 0;
  {
    await using _disturbance = new Disturbance(outbox, random);
    await using _workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed: SEED,
      bigEvery: 60,
      bigRows: 500,
      writers: 4,
    });
    const args = [
      [],
      ['--last', '10s'],
      ['--wait', '0'],
      ['--rate', '20000'],
      ['--wait', '0', '--last', '3s'],
    ];
    // On a quick machine a round may meet nothing in flight: then more of them.
    for (
      let round = 0;
      round < ROUNDS || ((inFlight === 0 || rows <= 1000) && round < ROUNDS_MAX);
      round += 1
    ) {
      if (round % 4 === 3) {
        for (const stream of await outbox.redis.keys(`${outbox.name}.*`)) {
          await outbox.redis.xtrim(stream, 'MAXLEN', random.int(0, 500));
        }
      }
      const { report } = await audit(outbox, ['--wait', '2', ...random.pick(args)]);
      expect({ findings: report.findings, examples: findingExamples(report) }).toEqual({
        findings: NOTHING,
        examples: {},
      });
      inFlight += report.notes.inFlight;
      rows += report.rows;
    }
  }
  // Else it was too quiet to prove anything.
  expect(inFlight).toBeGreaterThan(0);
  expect(rows).toBeGreaterThan(1000);
  const calm = await audit(outbox, ['--wait', '60']);
  expect(calm).toMatchObject({
    exitCode: 0,
    report: { relay: { judgedBy: 'snapshot' }, notes: { inFlight: 0 } },
  });
});

test(`repairs while relays are killed under load bring back what is lost, and double nothing (seed ${SEED})`, async () => {
  const random = new Random(SEED + 1);
  await using outbox = await createOutbox();
  let deleted = 0;
  {
    await using _disturbance = new Disturbance(outbox, random);
    await outbox.insert();
    await outbox.waitForLength(outbox.stream(), 1);
    await passSlack(outbox);
    await using _workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed: SEED,
      bigEvery: 0,
      writers: 4,
    });
    for (let round = 0; round < ROUNDS / 2 || (deleted <= 10 && round < ROUNDS_MAX); round += 1) {
      for (const stream of await outbox.redis.keys(`${outbox.name}.*`)) {
        const entries = await outbox.redis.xrange(stream, '-', '+');
        const msOf = (id: string) => Number(id.split('-')[0]);
        // Not of the first seconds of a stream: what is missing there looks trimmed.
        const fromMs = msOf(entries[0]?.[0] ?? '0-0') + 3000;
        const victims = entries.filter(([id]) => msOf(id) > fromMs && random.next() < 0.05);
        if (victims.length > 0) deleted += await outbox.redis.xdel(stream, ...victims.map(([id]) => id));
      }
      // The slot's horizon moves with what a checkpoint writes down.
      await outbox.query('CHECKPOINT');
      const { report } = await audit(outbox, ['--repair', '--yes', '--wait', '1']);
      expect({ ...report.findings, missing: 0 }).toEqual(NOTHING);
    }
  }
  expect(deleted).toBeGreaterThan(10);
  await outbox.waitUntilConfirmed(60_000);
  await waitFor(
    'everything to be recovered',
    async () => {
      await outbox.query('CHECKPOINT');
      const { exitCode } = await audit(outbox, ['--repair', '--yes', '--wait', '2']);
      return exitCode === 0;
    },
    120_000,
  );

  const counts = new Map<string, number>();
  for (const entries of (await readEntries(outbox.redis, outbox.name)).values()) {
    for (const { id } of entries) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  expect([...counts].filter(([, count]) => count > 1)).toEqual([]);
  const rows = await outbox.query<{ id: string }>('SELECT id FROM outbox');
  expect(rows.filter(({ id }) => !counts.has(id)).length).toBeLessThanOrEqual(
    (await audit(outbox)).report.notes.trimmed,
  );
});
