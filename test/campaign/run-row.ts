import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Row } from './row.ts';
import { RowContext, type RowContextOptions } from './row-context.ts';
import type { Tally } from './tally.ts';

export interface RunResult {
  readonly row: Row;
  readonly seed: number;
  readonly outcome: 'passed' | 'failed' | 'interrupted';
  /** Why it failed. */
  readonly cause?: string;
  /** The notes of the run and the logs of its relays; kept only when it failed. */
  readonly logFile?: string;
  readonly tally: Tally;
  readonly elapsedMs: number;
}

const LIMIT_SECONDS = 300;
const CLEAN_UP_LIMIT_MS = 60_000;

/** Runs a row once. Never throws: whatever went wrong is the result. */
export async function runRow(
  row: Row,
  options: RowContextOptions & { readonly logDir: string; readonly interrupted: Promise<void> },
): Promise<RunResult> {
  const startedAtMs = performance.now();
  const context = new RowContext(options);
  const limitSeconds = row.limitSeconds ?? LIMIT_SECONDS;
  const limit = deadline(limitSeconds * 1000);
  let outcome: RunResult['outcome'] = 'passed';
  let cause: string | undefined;
  try {
    const running = row.run(context);
    // After the limit or Ctrl-C it fails of the servers that are taken away; nobody waits for it then.
    running.catch(() => undefined);
    const end = await Promise.race([
      running.then(() => 'done' as const),
      limit.reached.then(() => 'late' as const),
      options.interrupted.then(() => 'interrupted' as const),
    ]);
    if (end === 'late') throw new Error(`not over after ${limitSeconds} seconds`);
    if (end === 'interrupted') outcome = 'interrupted';
  } catch (error) {
    outcome = 'failed';
    cause = describe(error);
  } finally {
    limit.clear();
  }
  const log = context.log;
  const cleanUp = deadline(CLEAN_UP_LIMIT_MS);
  try {
    const disposing = context[Symbol.asyncDispose]();
    disposing.catch(() => undefined);
    const late = cleanUp.reached.then(() => {
      throw new Error('cleaning up did not end');
    });
    await Promise.race([disposing, late]);
  } catch (error) {
    if (outcome === 'passed') {
      outcome = 'failed';
      cause = describe(error);
    }
  } finally {
    cleanUp.clear();
  }
  const result = {
    row,
    seed: options.seed,
    outcome,
    tally: context.tally,
    elapsedMs: performance.now() - startedAtMs,
  };
  if (outcome !== 'failed' || cause === undefined) return result;
  return { ...result, cause, logFile: keepLog(options.logDir, row, options.seed, `${cause}\n\n${log}\n`) };
}

function keepLog(dir: string, row: Row, seed: number, text: string): string {
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${row.id}-${seed}.log`);
  writeFileSync(file, text);
  return file;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? error.message;
  // An assertion names what was expected; what there was is its own to tell.
  return 'actual' in error ? `${text}\nactual: ${inspect(error.actual, { depth: 3 })}` : text;
}

function deadline(ms: number): { readonly reached: Promise<void>; clear(): void } {
  let timer: NodeJS.Timeout | undefined;
  const reached = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { reached, clear: () => clearTimeout(timer) };
}
