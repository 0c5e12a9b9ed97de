import { intendedOffsetsUs, type LoadPlan } from '../load-plan.ts';
import { seededRandom } from '../seeded-random.ts';
import { EventWriter } from './event-writer.ts';
import { startPacer } from './pacer.ts';
import { serveRequests } from './serve-requests.ts';

/**
 * The applications that write events: each producer is a connection that sends its transactions when they are due,
 * or as soon as it can after that. When they were due stands in the payload, so a database that is slow for a moment
 * makes the latency of all events that had to wait worse, as it would for a user.
 */
serveRequests({ prepare, run, finish });

export interface ProducerJob {
  readonly databaseUrl: string;
  readonly table: { readonly schema: string; readonly name: string };
  readonly plan: LoadPlan;
  readonly seed: number;
}

/** One stretch of the load; there may be several, one after the other. */
export interface ProducerRun {
  readonly startUs: number;
  readonly seconds: number;
  /** Drawn from it is when each transaction is due. */
  readonly seed: number;
}

export interface ProducerResult {
  /** Of each producer, by its number; of all runs so far. */
  readonly committed: readonly number[];
  /** Of this run. */
  readonly transactions: number;
}

/** How long before its moment a transaction is opened that is to be committed at it. */
const PREPARED_US = 5000;

let job: ProducerJob | undefined;
let writers: EventWriter[] = [];

async function prepare(given: ProducerJob): Promise<void> {
  job = given;
  const padding = randomText(given.plan.payloadBytes * 2, seededRandom(given.seed));
  writers = await Promise.all(
    Array.from(
      { length: given.plan.producers },
      async (_, producer) => await EventWriter.open(producer, { ...given, padding }),
    ),
  );
}

async function run({ startUs, seconds, seed }: ProducerRun): Promise<ProducerResult> {
  if (job === undefined) throw new Error('not prepared');
  const { plan } = job;
  const offsetsUs = intendedOffsetsUs(plan, seconds, seededRandom(seed));
  const isOneAtATime = plan.arrivals.kind === 'pauses';
  await (isOneAtATime ? commitOnTime(offsetsUs, startUs) : writeOnTime(offsetsUs, startUs));
  await Promise.all(writers.map(async (writer) => await writer.reportCounters()));
  return { committed: writers.map(({ committed }) => committed), transactions: offsetsUs.length };
}

async function finish(): Promise<void> {
  await Promise.all(writers.map(async (writer) => await writer.close()));
}

/** Transactions in turn to each producer; one that is still busy sends it as soon as it can. */
async function writeOnTime(offsetsUs: Float64Array, startUs: number): Promise<void> {
  const queues = writers.map((writer) => ({ writer, dueUs: [] as number[], isBusy: false }));
  await new Promise<void>((resolve, reject) => {
    let left = offsetsUs.length;
    const drain = async (queue: (typeof queues)[number]) => {
      queue.isBusy = true;
      for (let at = queue.dueUs.shift(); at !== undefined; at = queue.dueUs.shift()) {
        await queue.writer.write(at);
        left -= 1;
        if (left === 0) resolve();
      }
      queue.isBusy = false;
    };
    const due = (index: number) => {
      const queue = queues[index % queues.length] as (typeof queues)[number];
      queue.dueUs.push(startUs + (offsetsUs[index] as number));
      if (!queue.isBusy) drain(queue).catch(reject);
    };
    startPacer({ offsetsUs, startUs }, { due, failed: reject });
  });
}

/** One producer, one event: inserted a little before its moment, so that what is measured begins with COMMIT. */
async function commitOnTime(offsetsUs: Float64Array, startUs: number): Promise<void> {
  const [writer] = writers;
  if (writer === undefined) throw new Error('not prepared');
  const moments = new Float64Array(offsetsUs.length * 2);
  for (const [index, offset] of offsetsUs.entries()) {
    moments[2 * index] = offset - PREPARED_US;
    moments[2 * index + 1] = offset;
  }
  await new Promise<void>((resolve, reject) => {
    let turn: Promise<void> = Promise.resolve();
    const due = (index: number) => {
      const isBegin = index % 2 === 0;
      const intendedUs = startUs + (offsetsUs[index >> 1] as number);
      turn = turn.then(async () => await (isBegin ? writer.begin(intendedUs) : writer.commit()));
      turn.catch(reject);
      if (index === moments.length - 1) turn.then(resolve, reject);
    };
    startPacer({ offsetsUs: moments, startUs }, { due, failed: reject });
  });
}

/** Text that does not compress: TOAST would make nothing of a repeated letter. */
function randomText(length: number, random: () => number): string {
  const pieces: string[] = [];
  for (let have = 0; have < length + 64; have += 6) {
    pieces.push(
      Math.floor(random() * 36 ** 6)
        .toString(36)
        .padStart(6, '0'),
    );
  }
  return pieces.join('');
}
