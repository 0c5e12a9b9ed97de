/**
 * Transaction ids as rows carry them (xmin): 32 bits that wrap around, so that "before" only means something within two
 * billion of each other.
 */
export function isXidBefore(xid: number, bound: number): boolean {
  // Below 3 are the ids of Postgres itself: rows frozen by an old version, before everything.
  if (xid < FIRST_NORMAL_XID) return true;
  const ahead = (bound - xid) >>> 0;
  return ahead > 0 && ahead < 0x8000_0000;
}

/** The later of two bounds; null: there is none. */
export function laterXid(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return isXidBefore(a, b) ? b : a;
}

const FIRST_NORMAL_XID = 3;
