/**
 * The pause before the next session: exponential with full jitter above the minimum, so that relays which lost the
 * same server do not come back at the same moment. Pure: `random` is in [0, 1).
 */
export function backoffMs(
  attempt: number,
  limits: { readonly backoffMinMs: number; readonly backoffMaxMs: number },
  random: number,
): number {
  const ceiling = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** Math.min(attempt, 30));
  return Math.round(limits.backoffMinMs + random * (ceiling - limits.backoffMinMs));
}
