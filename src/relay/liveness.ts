export interface Liveness {
  /** How often a status update goes out with nothing to say, milliseconds. */
  readonly statusIntervalMs: number;
  /** How long the server may be silent, milliseconds. */
  readonly serverSilenceMs: number;
}

/**
 * Fits our own rhythm to the server's patience: a receiver that says nothing for wal_sender_timeout is dropped, so
 * three updates must fit into it; and each update asks for an answer, so silence has to outlast two of them.
 */
export function computeLiveness(
  settings: { readonly statusIntervalMs: number; readonly serverSilenceMs: number },
  walSenderTimeoutMs: number,
): Liveness {
  const patienceMs = walSenderTimeoutMs > 0 ? Math.floor(walSenderTimeoutMs / 3) : Number.POSITIVE_INFINITY;
  const statusIntervalMs = Math.max(STATUS_INTERVAL_MS_MIN, Math.min(settings.statusIntervalMs, patienceMs));
  return { statusIntervalMs, serverSilenceMs: Math.max(settings.serverSilenceMs, 2 * statusIntervalMs) };
}

const STATUS_INTERVAL_MS_MIN = 50;
