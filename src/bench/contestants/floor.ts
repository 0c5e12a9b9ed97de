import type { Contestant } from '../contestant.ts';
import { streamName } from '../load-plan.ts';
import { type ProgramOptions, ProgramProcess } from '../program-process.ts';
import type { FloorJob } from '../programs/floor-relay.ts';
import { replicationUnavailable, setUpSlot, tearDownSlot } from './slot-set-up.ts';

const APPLICATION_NAME = 'walrelay-bench-floor';

export function floorContestant(options: ProgramOptions): Contestant {
  return {
    id: 'floor',
    name: 'bare loop (the floor)',
    kind: 'floor',
    summary:
      'No relay, but what one event takes at least: the bytes of each row go from the slot into one XADD as they came.',
    unavailable: replicationUnavailable,
    setUp: setUpSlot,
    tearDown: tearDownSlot,
    async start(place) {
      const program = new ProgramProcess('floor-relay', options);
      await program.begin(
        'start',
        {
          databaseUrl: place.databaseUrl,
          redisUrl: place.redisUrl,
          slot: place.name,
          publication: place.name,
          applicationName: APPLICATION_NAME,
          // It doesn't know which stream an event belongs to.
          stream: streamName(place.keyPrefix, 0),
        } satisfies FloorJob,
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
