import type { RowContext } from './row-context.ts';

/** P Postgres, N network, R Redis, D daemon, O operator, X data. */
export type FaultClass = 'P' | 'N' | 'R' | 'D' | 'O' | 'X';

/** The soak is no row of the table, nor are the checks of the matrix of versions. */
export type RowId = `${FaultClass}${number}` | 'soak' | `matrix-${string}`;

/**
 * OK       nothing lost, double or misordered after recovery, with nobody's help
 * HALT     stopped with a named reason, the slot not past the fault
 * REFUSE   does not start, with a named reason
 * WAIT     holds still, says why, and goes on by itself
 * WARN     says so and goes on
 */
export type Must = 'OK' | 'HALT' | 'REFUSE' | 'WAIT' | 'WARN';

/** One row of the fault table: what is broken, what must happen, and how both are brought about. */
export interface Row {
  readonly id: RowId;
  /** One line, for the table. */
  readonly fault: string;
  readonly must: Must | readonly Must[];
  /** Why it can't run on this machine; null when it can. Only what is true of the machine. */
  readonly impossible?: () => string | null | Promise<string | null>;
  /** How often it runs in a whole campaign. */
  readonly runs: number;
  /** Part of the short selection, which has three minutes for all of its rows. */
  readonly isShort?: boolean;
  /** A run that takes longer has failed. */
  readonly limitSeconds?: number;
  /** Brings the fault about and checks what must happen; throws when it does not. */
  run(context: RowContext): Promise<void>;
}

export function classOf(row: Row): FaultClass {
  return row.id.slice(0, 1) as FaultClass;
}

/** P2 before P10, classes in the order of the table. */
export function compareRows(a: Row, b: Row): number {
  const byClass = CLASSES.indexOf(classOf(a)) - CLASSES.indexOf(classOf(b));
  return byClass === 0 ? Number(a.id.slice(1)) - Number(b.id.slice(1)) : byClass;
}

export const CLASSES: readonly FaultClass[] = ['P', 'N', 'R', 'D', 'O', 'X'];

export const CLASS_NAMES: Readonly<Record<FaultClass, string>> = {
  P: 'Postgres',
  N: 'network',
  R: 'Redis',
  D: 'daemon',
  O: 'operator',
  X: 'data',
};
