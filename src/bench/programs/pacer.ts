import { Worker } from 'node:worker_threads';
import type { PaceData } from './pace.ts';

/**
 * Calls `due` with the index of each offset when its time has come; several at once when they are close together or
 * this thread was busy. `failed` when the thread that keeps the time dies.
 */
export function startPacer(
  { offsetsUs, startUs }: PaceData,
  { due, failed }: { readonly due: (index: number) => void; readonly failed: (error: Error) => void },
): void {
  const file = import.meta.url.endsWith('.ts') ? './pace.ts' : './pace.js';
  const worker = new Worker(new URL(file, import.meta.url), {
    workerData: { offsetsUs, startUs } satisfies PaceData,
  });
  let next = 0;
  worker.on('error', failed);
  worker.on('message', (until: number) => {
    for (; next < until; next += 1) due(next);
  });
}
