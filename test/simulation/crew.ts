import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Order } from './simulate.ts';
import { addTallies, NOTHING_RUN, type Tally } from './tally.ts';

/**
 * Runs the schedules of consecutive seeds on all cores, until one breaks a promise. Seeds are handed out in pieces, in their order, and a
 * failure counts when every seed before it is done: what comes out is the same, however many work at it. With `isTold`, the failure is made
 * small and told on stderr.
 */
export async function simulateSeeds(options: SeedsOptions): Promise<Tally> {
  const { bundle, fromSeed, schedules, isTold = false, progressed } = options;
  const pieces = Math.ceil(schedules / PIECE_SCHEDULES);
  const tallies: Tally[] = [];
  let handedOut = 0;
  let done = 0;
  let isBroken = false;
  const workers = Array.from({ length: Math.min(availableParallelism(), pieces) }, () => new Worker(bundle));
  try {
    await Promise.all(
      workers.map(async (worker) => {
        while (handedOut < pieces && !isBroken) {
          const piece = handedOut;
          handedOut += 1;
          const from = piece * PIECE_SCHEDULES;
          const count = Math.min(PIECE_SCHEDULES, schedules - from);
          const tally = (await worker.obey({ fromSeed: fromSeed + from, count })) as Tally;
          tallies[piece] = tally;
          done += tally.schedules;
          if (tally.failure !== null) isBroken = true;
          progressed?.(done);
        }
      }),
    );
    let sum = NOTHING_RUN;
    for (const tally of tallies) {
      sum = addTallies(sum, tally);
      if (tally.failure !== null) break;
    }
    if (isTold && sum.failure !== null) await workers[0]?.obey({ tellSeed: sum.failure.seed });
    return sum;
  } finally {
    for (const worker of workers) worker.end();
  }
}

export interface SeedsOptions {
  readonly bundle: string;
  readonly fromSeed: number;
  readonly schedules: number;
  readonly isTold?: boolean;
  /** Hears how many schedules are done. */
  readonly progressed?: (schedules: number) => void;
}

/** A process of its own: its clocks and timers are not those of this one. */
class Worker {
  readonly #child: ChildProcess;

  constructor(bundle: string) {
    this.#child = fork(bundle, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: NODE_FLAGS });
  }

  obey(order: Order): Promise<Tally | null> {
    return new Promise((resolve, reject) => {
      // A bug that is put back may spin for ever.
      const timer = setTimeout(() => fail('does not answer'), ANSWER_TIMEOUT_MS);
      const fail = (why: unknown) => {
        settle();
        reject(new Error(`the simulation ${String(why)}, given ${JSON.stringify(order)}`));
      };
      const exited = (code: number | null) => fail(`ended with ${code}`);
      const answered = (tally: unknown) => {
        settle();
        resolve(tally as Tally | null);
      };
      const settle = () => {
        clearTimeout(timer);
        this.#child.off('error', fail).off('exit', exited).off('message', answered);
      };
      this.#child.once('error', fail).once('exit', exited).once('message', answered);
      this.#child.send(order);
    });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Small, so that what is found early ends the search early. */
const PIECE_SCHEDULES = 20;
const ANSWER_TIMEOUT_MS = 5 * 60_000;
/** Most of what a schedule allocates dies with it: the larger the nursery, the less of that is ever copied. */
const NODE_FLAGS = ['--max-semi-space-size=32'];
