import { sessionErrors, waitForRelay } from './chaos-links.ts';
import type { Daemon } from './cli.ts';

/** How many sessions have ended with one of these codes. */
export function countErrors(daemon: Daemon, ...codes: readonly string[]): number {
  return sessionErrors(daemon).filter((found) => codes.includes(found)).length;
}

/** Waits until so many sessions have ended with one of these codes. */
export async function waitForError(
  daemon: Daemon,
  codes: string | readonly string[],
  count = 1,
  timeoutMs?: number,
): Promise<void> {
  const list = typeof codes === 'string' ? [codes] : codes;
  await waitForRelay(
    daemon,
    `${list.join(' or ')} for the ${count}. time`,
    () => countErrors(daemon, ...list) >= count,
    timeoutMs,
  );
}
