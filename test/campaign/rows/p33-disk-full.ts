import { readFileSync } from 'node:fs';
import { mountSmallFileSystem, whyNoSmallFileSystem } from '../../../dev/servers/small-file-system.ts';
import { serverUser } from '../../../dev/servers/server-user.ts';
import { unlessExited, waitForEvents } from '../../support/chaos-links.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';

const MiB = 1024 * 1024;

export const rows: readonly Row[] = [
  {
    id: 'P33',
    fault: 'the disk of pg_wal is full: Postgres panics, and comes back when there is room',
    must: 'OK',
    runs: 2,
    impossible: whyNoSmallFileSystem,
    async run(context) {
      const disk = context.use(mountSmallFileSystem({ bytes: 256 * MiB, user: serverUser() }));
      const postgres = await context.startPostgres({
        walDir: disk.path,
        settings: { min_wal_size: '32MB', max_wal_size: '32MB', wal_recycle: 'off' },
      });
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, context.random.int(200, 600));
      const fault = context.fault('no byte left for WAL');
      disk.fill();
      await unlessExited(
        daemon,
        waitFor('Postgres to give up', () => !postgres.isRunning, 120_000),
      );
      const log = readFileSync(postgres.logFile, 'utf8');
      if (!log.includes('No space left on device')) throw new Error('Postgres ended for another reason');
      context.note(/PANIC:.*/.exec(log)?.[0] ?? 'ended without a panic');
      await new Promise((resolve) => setTimeout(resolve, context.random.int(0, 2_000)));
      disk.makeRoom();
      await postgres.start();
      fault.over();
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
];
