import type { Contestant } from '../contestant.ts';
import { type ProgramOptions, ProgramProcess } from '../program-process.ts';
import type { NaiveJob } from '../programs/naive-relay.ts';
import { replicationUnavailable, setUpSlot, tearDownSlot } from './slot-set-up.ts';

const APPLICATION_NAME = 'walrelay-bench-naive';

export function naiveContestant(options: ProgramOptions): Contestant {
  return {
    id: 'naive',
    name: 'the usual loop',
    kind: 'naive',
    summary:
      'pg-logical-replication with its own parser, one awaited XADD for each event, then an acknowledgement.',
    unavailable: replicationUnavailable,
    setUp: setUpSlot,
    tearDown: tearDownSlot,
    async start(place) {
      const program = new ProgramProcess('naive-relay', options);
      await program.begin(
        'start',
        {
          databaseUrl: place.databaseUrl,
          redisUrl: place.redisUrl,
          slot: place.name,
          publication: place.name,
          applicationName: APPLICATION_NAME,
          keyPrefix: place.keyPrefix,
        } satisfies NaiveJob,
        place.signal,
      );
      return {
        pids: [program.pid],
        applicationName: APPLICATION_NAME,
        ended: program.ended,
        stop: async () => await program.stop(),
      };
    },
  };
}
