import type { Contestant } from '../contestant.ts';
import { streamName } from '../load-plan.ts';
import type { ProgramOptions } from '../program-process.ts';
import type { FloorJob } from '../programs/floor-relay.ts';
import { programContestant } from './program.ts';

export function floorContestant(options: ProgramOptions): Contestant {
  return programContestant<FloorJob>(
    {
      id: 'floor',
      name: 'bare loop (the floor)',
      kind: 'floor',
      summary:
        'No relay, but what one event takes at least: the bytes of each row go from the slot into one XADD as they came.',
      program: 'floor-relay',
      // It doesn't know which stream an event belongs to.
      job: (place) => ({ stream: streamName(place.keyPrefix, 0) }),
    },
    options,
  );
}
