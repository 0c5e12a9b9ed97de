import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { hasTable } from '../config/outbox-source.ts';
import type { Settings } from '../config/settings.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import { AuditRounds, type RoundResult } from './audit-rounds.ts';

/** The thread of the audit beside a relay: reading and comparing cost the relay's own thread nothing. */
export interface AuditWorkerData {
  readonly settings: Settings;
  readonly holder: string;
}

export type AuditMessage =
  | { readonly kind: 'round'; readonly results: readonly RoundResult[] }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly hint: string };

const { settings, holder } = workerData as AuditWorkerData;
const stopping = new AbortController();
parentPort?.once('message', () => stopping.abort());

const rounds = settings.outboxes.filter(hasTable).map((outbox) => new AuditRounds(settings, outbox, holder));
while (!stopping.signal.aborted) {
  let message: AuditMessage;
  try {
    const results: RoundResult[] = [];
    for (const each of rounds) {
      const result = await each.next(stopping.signal);
      if (result !== null) results.push(result);
    }
    message = { kind: 'round', results };
  } catch (thrown) {
    if (stopping.signal.aborted) break;
    const { code, message: text, hint } = toWalrelayError(thrown);
    message = { kind: 'failed', code, message: text, hint };
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(message);
  await sleep(settings.auditIntervalMs, undefined, { signal: stopping.signal }).catch(() => {});
}
// The port would keep the thread alive.
parentPort?.close();
