/**
 * What the producers of a scenario write, as numbers: which event goes to which aggregate and stream, and when it is
 * meant to be sent. Pure, so that producers, reader and checker agree without talking to each other.
 */
export interface LoadPlan {
  /** Each has a connection and aggregates of its own, and sends one transaction after the other. */
  readonly producers: number;
  readonly aggregatesPerProducer: number;
  readonly streams: number;
  readonly payloadBytes: number;
  readonly rowsPerTransaction: number;
  readonly arrivals: Arrivals;
}

export type Arrivals =
  /** Independent of each other (Poisson), so that no polling interval falls into step with them. */
  | { readonly kind: 'steady'; readonly ratePerSecond: number }
  /** One event, then a pause of a random length. */
  | { readonly kind: 'pauses'; readonly minMs: number; readonly maxMs: number }
  /** So many events at one moment, again and again. */
  | { readonly kind: 'bursts'; readonly events: number; readonly everyMs: number };

/** The number under which the backlog is loaded, by the server itself. */
export const LOADER = 900;

/** A reader that blocks on more streams would cost Redis more than the relay does. */
export const WATCHED_STREAMS_MAX = 50;
/** Of the events, where there are more streams than are watched, one in so many goes to a watched one. */
const WATCHED_EVERY = 5;

export interface EventPlace {
  /** One producer's own; its events keep their order. */
  readonly aggregate: number;
  /** 0 to `streams` - 1; those below WATCHED_STREAMS_MAX are watched. */
  readonly stream: number;
}

type Spread = Pick<LoadPlan, 'aggregatesPerProducer' | 'streams'>;

export function placeOfEvent(plan: Spread, producer: number, number: number): EventPlace {
  const { aggregatesPerProducer, streams } = plan;
  if (producer === LOADER) {
    const aggregate = number % loaderAggregates(plan);
    return { aggregate, stream: aggregate % streams };
  }
  if (streams <= WATCHED_STREAMS_MAX) {
    const aggregate = number % aggregatesPerProducer;
    return { aggregate, stream: (producer * aggregatesPerProducer + aggregate) % streams };
  }
  const isWatched = number % WATCHED_EVERY === 0;
  const draw = scatter(number + producer * 0x10001);
  const stream = isWatched
    ? draw % WATCHED_STREAMS_MAX
    : WATCHED_STREAMS_MAX + (draw % (streams - WATCHED_STREAMS_MAX));
  return { aggregate: stream, stream };
}

/** Every stream gets a part of the backlog, and every aggregate belongs to one stream. */
export function loaderAggregates({ streams }: Pick<LoadPlan, 'streams'>): number {
  return streams * Math.ceil(100 / streams);
}

export function streamName(keyPrefix: string, stream: number): string {
  return `${keyPrefix}${aggregateTypeOf(stream)}`;
}

export function aggregateTypeOf(stream: number): string {
  return `s${stream}`;
}

/**
 * When each transaction is meant to be sent: microseconds since the load began, ascending. The same seed gives the
 * same times, so every contestant gets the same load.
 */
export function intendedOffsetsUs(
  plan: Pick<LoadPlan, 'arrivals' | 'rowsPerTransaction'>,
  seconds: number,
  random: () => number,
): Float64Array {
  const lengthUs = seconds * 1e6;
  const { arrivals, rowsPerTransaction } = plan;
  switch (arrivals.kind) {
    case 'steady': {
      // A Poisson process whose number of events is known is that many independent uniform draws.
      const count = Math.max(1, Math.round((arrivals.ratePerSecond * seconds) / rowsPerTransaction));
      return Float64Array.from({ length: count }, () => Math.floor(random() * lengthUs)).sort();
    }
    case 'pauses': {
      const offsets: number[] = [];
      for (let atUs = 0; ; ) {
        atUs += Math.round((arrivals.minMs + random() * (arrivals.maxMs - arrivals.minMs)) * 1000);
        if (atUs >= lengthUs) return Float64Array.from(offsets.length === 0 ? [0] : offsets);
        offsets.push(atUs);
      }
    }
    case 'bursts': {
      const transactions = Math.max(1, Math.round(arrivals.events / rowsPerTransaction));
      const bursts = Math.max(1, Math.floor(lengthUs / 1000 / arrivals.everyMs));
      return Float64Array.from(
        { length: bursts * transactions },
        (_, index) => Math.floor(index / transactions) * arrivals.everyMs * 1000,
      );
    }
  }
}

/** Spreads neighbouring numbers over the whole range of 32 bits, the same way everywhere (the finaliser of MurmurHash3). */
function scatter(number: number): number {
  let value = number | 0;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
