import { EXIT } from '../core/error-codes.ts';

/**
 * Runs work that SIGINT and SIGTERM stop in an orderly way: what it opened is closed, temporary files go, and the process
 * exits with 130. A second signal ends it at once.
 */
export async function stoppable(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(EXIT.killed);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    process.stderr.write('stopped\n');
    process.exitCode = EXIT.killed;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
