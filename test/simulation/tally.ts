/** What a number of schedules came to. */
export interface Tally {
  readonly schedules: number;
  readonly steps: number;
  readonly events: number;
  readonly cpuSeconds: number;
  /** How often what happened, by name. */
  readonly faults: Readonly<Record<string, number>>;
  /** How schedules ended that did not end well, by the code that the relay stopped with. */
  readonly halts: Readonly<Record<string, number>>;
  /** The first schedule that broke a promise: none was run after it. */
  readonly failure: Failure | null;
}

export interface Failure {
  readonly seed: number;
  readonly rule: string;
  readonly message: string;
}

export const NOTHING_RUN: Tally = {
  schedules: 0,
  steps: 0,
  events: 0,
  cpuSeconds: 0,
  faults: {},
  halts: {},
  failure: null,
};

/** `b` are the schedules behind those of `a`. */
export function addTallies(a: Tally, b: Tally): Tally {
  return {
    schedules: a.schedules + b.schedules,
    steps: a.steps + b.steps,
    events: a.events + b.events,
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
    faults: addCounts(a.faults, b.faults),
    halts: addCounts(a.halts, b.halts),
    failure: a.failure ?? b.failure,
  };
}

function addCounts(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum: Record<string, number> = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return Object.fromEntries(Object.entries(sum).sort(([x], [y]) => (x < y ? -1 : 1)));
}
