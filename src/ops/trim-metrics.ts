import { Counter, Gauge, type Registry } from 'prom-client';

/** What the trimming of the streams did. Only there when something is to be trimmed. */
export class TrimMetrics {
  readonly #entries: Counter;
  readonly #failures: Counter;
  readonly #streams: Gauge;
  readonly #withoutGroups: Gauge;
  readonly #heldUp: Gauge;
  readonly #slowest: Gauge<'group'>;
  readonly #lastRound: Gauge;
  readonly #seconds: Gauge;

  constructor(registry: Registry, prefix: string) {
    const gauge = (name: string, help: string) =>
      new Gauge({ name: `${prefix}${name}`, help, registers: [registry] });
    const counter = (name: string, help: string) =>
      new Counter({ name: `${prefix}${name}`, help, registers: [registry] });
    this.#entries = counter('trimmed_entries_total', 'Entries removed from streams');
    this.#failures = counter('trim_failures_total', 'Rounds of trimming that ended in an error');
    this.#streams = gauge('trim_streams', 'Streams that the last round looked at');
    this.#withoutGroups = gauge(
      'trim_streams_without_groups',
      'Streams that are not trimmed for want of a consumer group',
    );
    this.#heldUp = gauge(
      'trim_streams_held_up',
      'Streams in which a consumer group has kept due entries for longer than is to be warned of',
    );
    this.#slowest = new Gauge({
      name: `${prefix}trim_slowest_group_seconds`,
      help: 'Age of the oldest entry that the slowest group of a stream has not acknowledged',
      labelNames: ['group'],
      registers: [registry],
    });
    this.#lastRound = gauge(
      'trim_last_timestamp_seconds',
      'When the last round of trimming ended (Unix time)',
    );
    this.#seconds = gauge('trim_duration_seconds', 'How long the last round of trimming took');
    this.forget();
  }

  recordRound(round: {
    readonly entries: number;
    readonly streams: number;
    readonly withoutGroups: number;
    readonly heldUp: number;
    /** By group. */
    readonly slowestMs: ReadonlyMap<string, number>;
    readonly seconds: number;
    readonly atMs: number;
  }): void {
    this.#entries.inc(round.entries);
    this.#streams.set(round.streams);
    this.#withoutGroups.set(round.withoutGroups);
    this.#heldUp.set(round.heldUp);
    this.#slowest.reset();
    for (const [group, ms] of round.slowestMs) this.#slowest.set({ group }, ms / 1000);
    this.#lastRound.set(round.atMs / 1000);
    this.#seconds.set(round.seconds);
  }

  recordFailure(): void {
    this.#failures.inc();
  }

  /** Another relay trims from here on: what this one saw is stale, and would read as fresh. */
  forget(): void {
    for (const gauge of [this.#streams, this.#withoutGroups, this.#heldUp, this.#lastRound, this.#seconds])
      gauge.remove();
    this.#slowest.reset();
  }
}
