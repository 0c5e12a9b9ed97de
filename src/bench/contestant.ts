import type { ContestantKind } from './bench-report.ts';

/**
 * A relay under test. The bench makes schema, outbox table and key prefix, and takes all of it away; a contestant
 * makes what it needs beside (publication, slot, trigger), runs as processes of its own, and is asked to undo that.
 */
export interface Contestant {
  readonly id: string;
  readonly name: string;
  readonly kind: ContestantKind;
  readonly summary: string;
  readonly version?: string;
  /** Why it can't run here, in a sentence with what would help; undefined when it can. May download what it needs. */
  unavailable(place: BenchPlace): Promise<string | undefined>;
  /** Makes publication, slot or trigger. From here on no event may be missed, though nothing runs yet. */
  setUp(place: BenchPlace): Promise<void>;
  /** Starts the relay and resolves when it relays. */
  start(place: BenchPlace): Promise<RunningContestant>;
  /** Undoes setUp; safe to repeat, and safe when setUp was cut short. */
  tearDown(place: BenchPlace): Promise<void>;
}

export interface RunningContestant {
  /** The processes whose CPU and memory are the relay's. */
  readonly pids: readonly number[];
  /** Matches application_name of its connections in pg_stat_activity: which backends work for it. */
  readonly applicationName: string;
  /** Resolves when it ended by itself, with what it said last: a run that is over. */
  readonly ended: Promise<string>;
  /** Asks it to stop, and ends it when it does not. */
  stop(): Promise<void>;
}

/** Where one contestant runs one scenario. Every name in it is the run's own and is removed with it. */
export interface BenchPlace {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** A prefix for slots and publications: an identifier that needs no quotes, at most 40 characters. */
  readonly name: string;
  /**
   * Columns: id uuid primary key, aggregatetype text, aggregateid text, type text, payload jsonb,
   * created_at timestamptz default clock_timestamp(). Empty when setUp is called.
   */
  readonly table: { readonly schema: string; readonly name: string };
  /** Streams are called `<keyPrefix><aggregatetype>`; other keys of the contestant start with it too. */
  readonly keyPrefix: string;
  /** A directory for logs and files of this run; removed with it. */
  readonly dir: string;
  readonly signal: AbortSignal;
}

/**
 * What the payload of every event carries, whatever a relay makes of the rest of it: the reader finds it by its bytes
 * in any field of an entry. `~wb~<producer>~<number>~<intended µs>~<sent µs>~`; times are of the monotonic clock that
 * all processes of one machine share (process.hrtime). A producer numbers its events from 0; one aggregate belongs to one producer.
 */
export const MARKER_START = '~wb~';
