import { closeSync, existsSync, openSync } from 'node:fs';
import { freePort } from '../../../dev/servers/free-port.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'D8',
    fault: 'the disk of the log is full',
    must: 'OK',
    impossible: () => (existsSync('/dev/full') ? null : 'no /dev/full here'),
    runs: 1,
    async run(context) {
      const scene = await context.openScene();
      const stderrFd = openSync('/dev/full', 'w');
      context.defer(async () => closeSync(stderrFd));
      const port = await freePort();
      const fault = context.fault('stderr is /dev/full');
      const daemon = scene.start(
        { WALRELAY_HTTP_PORT: String(port), WALRELAY_LOG_LEVEL: 'trace' },
        { stderrFd },
      );
      // Its log can't be read.
      await waitFor('the relay to be ready', async () => {
        const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
        return response?.status === 200;
      });
      fault.over();
      scene.startWorkload();
      await scene.recover(daemon, fault);
      for (let count = 1; count <= 3; count += 1) {
        const cut = context.fault('connections cut, so that there is something to log');
        scene.links.resetAll();
        await scene.recover(daemon, cut);
      }
      await scene.settle(daemon);
    },
  },
];
