/**
 * Everything that a bench makes on the servers carries its run id, so that it is recognised by name and nothing else
 * is ever touched.
 */
export interface RunNames {
  /** Eight hex digits. */
  readonly runId: string;
  /** Schema, and the start of slots, publications and temporary directories. */
  readonly name: string;
  /** The start of every key. */
  readonly keyPrefix: string;
  /** The key that says to which database the run belongs, and that it lives. */
  readonly markerKey: string;
  /** Of the advisory lock that a live run holds. */
  readonly lockKeys: readonly [number, number];
}

export const NAME_START = 'walrelay_bench_';
export const KEY_START = 'walrelay_bench:';

export function namesOfRun(runId: string): RunNames {
  if (!RUN_ID.test(runId)) throw new Error(`no run id: ${runId}`);
  return {
    runId,
    name: `${NAME_START}${runId}`,
    keyPrefix: `${KEY_START}${runId}:`,
    markerKey: `${KEY_START}${runId}:run`,
    lockKeys: [LOCK_CLASS, Number.parseInt(runId, 16) | 0],
  };
}

/** The run that a schema, slot or publication belongs to: `walrelay_bench_<id>` or that with `_` and more behind it. */
export function runIdOfName(name: string): string | undefined {
  return /^walrelay_bench_([0-9a-f]{8})(?:_[a-z0-9_]*)?$/.exec(name)?.[1];
}

export function runIdOfKey(key: string): string | undefined {
  return /^walrelay_bench:([0-9a-f]{8}):/.exec(key)?.[1];
}

const RUN_ID = /^[0-9a-f]{8}$/;
/** 'wbch', as a number: our part of the space of advisory locks. */
const LOCK_CLASS = 0x77626368;
