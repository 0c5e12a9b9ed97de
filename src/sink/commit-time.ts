/**
 * Renders Begin's commit time as ISO 8601 in UTC with microseconds, `2026-11-21T08:30:00.123456Z`, byte by byte:
 * the date part is made once a second, not once a transaction. Postgres keeps microseconds; a Date would lose them.
 */
export class CommitTimeFormatter {
  /** The second that `#bytes` shows; at first it shows 2000-01-01. */
  #secondUs = 0n;
  readonly #bytes = Buffer.from('2000-01-01T00:00:00.000000Z', 'latin1');

  /** `us`: microseconds since 2000-01-01 UTC. The bytes are valid until the next call. */
  format(us: bigint): Buffer {
    // Commits come in time order, many a second: the difference is small, and cheaper than a division.
    let micros = Number(us - this.#secondUs);
    if (micros < 0 || micros >= 1_000_000) micros = this.#startSecond(us);
    for (let at = 25; at >= 20; at -= 1) {
      this.#bytes[at] = 0x30 + (micros % 10);
      micros = (micros / 10) | 0;
    }
    return this.#bytes;
  }

  #startSecond(us: bigint): number {
    let micros = us % 1_000_000n;
    if (micros < 0n) micros += 1_000_000n;
    this.#secondUs = us - micros;
    const iso = new Date(postgresTimeToUnixMs(this.#secondUs)).toISOString();
    // Years beyond 9999 or before 0 have other widths; their commit times are not of this world.
    this.#bytes.write(iso.slice(-24, -4), 0, 'latin1');
    return Number(micros);
  }
}

const POSTGRES_EPOCH_MS = 946_684_800_000; // 2000-01-01T00:00:00Z

/** Milliseconds since 1970-01-01 of a Postgres timestamp. */
export function postgresTimeToUnixMs(us: bigint): number {
  return POSTGRES_EPOCH_MS + Number(us / 1000n);
}

/** Reads what the formatter writes, as microseconds since 1970; null for anything else. */
export function parseCommittedAtUs(text: string | undefined): bigint | null {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/.exec(text ?? '');
  if (match === null) return null;
  const ms = Date.parse(`${match[1]}Z`);
  return Number.isNaN(ms) ? null : BigInt(ms) * 1000n + BigInt(match[2] as string);
}
