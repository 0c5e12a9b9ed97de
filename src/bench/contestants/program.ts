import type { BenchPlace, Contestant } from '../contestant.ts';
import { type ProgramOptions, ProgramProcess } from '../program-process.ts';
import type { BareSlot } from '../programs/bare-replication.ts';
import { replicationUnavailable, setUpSlot, tearDownSlot } from './slot-set-up.ts';

type Facts = Pick<Contestant, 'id' | 'name' | 'kind' | 'summary'>;

/** A contestant by replication that is a program of the bench: `programs/<program>.ts`, whose request `start` gets the job. */
export function programContestant<Job extends BareSlot & { readonly redisUrl: string }>(
  facts: Facts & {
    readonly program: string;
    /** What the program wants to know beside slot and servers. */
    readonly job: (place: BenchPlace) => Omit<Job, keyof BareSlot | 'redisUrl'>;
  },
  options: ProgramOptions,
): Contestant {
  const { program: name, job, ...rest } = facts;
  const applicationName = `walrelay-bench-${facts.id}`;
  return {
    ...rest,
    unavailable: replicationUnavailable,
    setUp: setUpSlot,
    tearDown: tearDownSlot,
    async start(place) {
      const program = new ProgramProcess(name, options);
      const slot: BareSlot = {
        databaseUrl: place.databaseUrl,
        slot: place.name,
        publication: place.name,
        applicationName,
      };
      await program.begin('start', { ...slot, redisUrl: place.redisUrl, ...job(place) }, place.signal);
      return {
        pids: [program.pid],
        applicationName,
        ended: program.ended,
        stop: async () => await program.stop(),
      };
    },
  };
}
