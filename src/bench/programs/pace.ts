import { parentPort, workerData } from 'node:worker_threads';
import { nowUs } from './serve-requests.ts';

/**
 * Says when transactions are due, to a twentieth of a millisecond: a timer of the event loop is up to a millisecond
 * late, which would be most of what is measured. It sleeps in the kernel, so it costs next to nothing.
 */
export interface PaceData {
  readonly offsetsUs: Float64Array;
  readonly startUs: number;
}

/** Transactions this close together are reported together: each report costs a wake-up of its own. */
const TOGETHER_US = 50;

const { offsetsUs, startUs } = workerData as PaceData;
const lock = new Int32Array(new SharedArrayBuffer(4));
let due = 0;
while (due < offsetsUs.length) {
  const waitUs = startUs + (offsetsUs[due] as number) - nowUs();
  if (waitUs > 0) Atomics.wait(lock, 0, 0, waitUs / 1000);
  const untilUs = nowUs() - startUs + TOGETHER_US;
  while (due < offsetsUs.length && (offsetsUs[due] as number) <= untilUs) due += 1;
  parentPort?.postMessage(due, []);
}
