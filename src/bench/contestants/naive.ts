import type { Contestant } from '../contestant.ts';
import type { ProgramOptions } from '../program-process.ts';
import type { NaiveJob } from '../programs/naive-relay.ts';
import { programContestant } from './program.ts';

export function naiveContestant(options: ProgramOptions): Contestant {
  return programContestant<NaiveJob>(
    {
      id: 'naive',
      name: 'the usual loop',
      kind: 'naive',
      summary:
        'pg-logical-replication with its own parser, one awaited XADD for each event, then an acknowledgement.',
      program: 'naive-relay',
      job: (place) => ({ keyPrefix: place.keyPrefix }),
    },
    options,
  );
}
