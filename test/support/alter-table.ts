import type { Outbox } from './outbox.ts';
import { waitFor } from './wait-for.ts';

/**
 * Statements, as one transaction, that lock the whole table while producers work on it. As a careful person does it:
 * with a lock_timeout, and again. A producer with two transactions that commit together would wait for its second,
 * queued behind this lock, while this waits for its first, and no server can see that as a deadlock.
 */
export async function alterUnderLoad(outbox: Outbox, statements: string): Promise<void> {
  await waitFor(
    `the lock for ${statements}`,
    () =>
      outbox.query(`SET LOCAL lock_timeout = '100ms'; ${statements}`).then(
        () => true,
        (error: Error & { code?: string }) => {
          if (!RETRIED.has(error.code ?? '')) throw error;
          return false;
        },
      ),
    60_000,
  );
}

/** Lock not available, deadlock detected. */
const RETRIED: ReadonlySet<string> = new Set(['55P03', '40P01']);
