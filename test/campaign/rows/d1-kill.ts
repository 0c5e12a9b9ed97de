import { CrashRun, planStrikes } from '../../support/crash-run.ts';
import type { Row } from '../row.ts';

/** Each named point of the protocol once, as often again at random times. `--kills` asks for more. */
const KILLS = 54;

export const rows: readonly Row[] = [
  {
    id: 'D1',
    fault: 'relay kill -9 at every step of the protocol and at random times',
    must: 'OK',
    runs: 2,
    limitSeconds: 7200,
    async run(context) {
      const { random, kills = KILLS } = context;
      const scene = await context.openScene();
      scene.startWorkload({ bigEvery: 300 });
      const run = new CrashRun((env) => scene.start(env), scene.links, random);
      for (const strike of planStrikes(random, kills)) {
        const isKill = strike.kind === 'random' || strike.effect === 'kill';
        const what =
          strike.kind === 'random'
            ? `after ${strike.afterMs} ms`
            : `${strike.point.message}/${strike.point.stage}`;
        const fault = context.fault(`${isKill ? 'kill -9' : 'cut'} ${what}`, { isKill });
        await run.strike(strike);
        fault.over();
        // The next strike may be one that needs a relay at its start: only now and then one is left to recover.
        if (random.next() < 0.2) await scene.recover(run.running(), fault);
      }
      await scene.settle(run.running());
    },
  },
];
