import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLsn } from '../../../src/core/lsn.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import { confirmedAtRest } from '../../support/slot-at-rest.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'R26',
    fault: 'Redis restored from a backup of its files',
    must: 'HALT',
    runs: 2,
    async run(context) {
      const { redis, scene, daemon } = await context.openUnderLoad({ workload: { bigRows: 1_000 } });
      await waitForEvents(daemon, 150);
      const backup = mkdtempSync(join(tmpdir(), 'walrelay-backup-'));
      context.defer(async () => rmSync(backup, { recursive: true, force: true }));
      await redis.stop();
      cpSync(redis.dir, backup, { recursive: true });
      await redis.start();
      const saved = await scene.floor();
      await waitForEvents(daemon, 300);
      await waitFor('a confirmation after the backup', async () => (await scene.confirmed()) > saved);
      context.fault('restored from the backup', { isKill: true });
      await redis.kill();
      const confirmed = parseLsn(await confirmedAtRest(scene.outbox));
      rmSync(redis.dir, { recursive: true });
      cpSync(backup, redis.dir, { recursive: true });
      await redis.start();
      await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: confirmed, entries: 'any' });
    },
  },
];
