/**
 * What a benchmark run found: the one structure that the table, `--json` and the HTML page are made of.
 * Latencies are milliseconds, sizes bytes, times ISO 8601. A figure that could not be had is absent, never zero.
 */
export interface BenchReport {
  /** The version of this structure. */
  readonly format: 1;
  readonly walrelayVersion: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** False when it was interrupted or a run failed: what is there is still right. */
  readonly isComplete: boolean;
  /** What a person would type to repeat it, without secrets. */
  readonly command: string;
  readonly machine: MachineFacts;
  readonly postgres: PostgresFacts;
  readonly redis: RedisFacts;
  readonly contestants: readonly ContestantFacts[];
  readonly scenarios: readonly ScenarioFacts[];
  /** One for each contestant and scenario that was tried, in the order they ran. */
  readonly runs: readonly RunReport[];
  /** What no relay on this machine can beat. */
  readonly floor: FloorReport;
  /** What an event costs its writer, by where it is written; absent when it was interrupted before. */
  readonly writers?: WriterReport;
  /** What a reader should know before believing a figure: synchronous_commit off, one core, a remote server … */
  readonly remarks: readonly string[];
}

export interface MachineFacts {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
}

export interface PostgresFacts {
  readonly version: string;
  /** On this machine, so that its processes could be measured. */
  readonly isLocal: boolean;
  /** synchronous_commit, wal_writer_delay, fsync, shared_buffers, logical_decoding_work_mem … as SHOW prints them. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface RedisFacts {
  readonly version: string;
  readonly isLocal: boolean;
  /** appendonly, appendfsync, save, maxmemory-policy … */
  readonly settings: Readonly<Record<string, string>>;
}

export type ContestantKind = 'floor' | 'walrelay' | 'polling' | 'notify' | 'naive' | 'peer';

export interface ContestantFacts {
  /** Stable, for `--relay` and for colours: `walrelay`, `poll-1000`, `poll-100`, `poll-10`, `notify`, `naive`, `floor`, `debezium` … */
  readonly id: string;
  /** For people: "Walrelay", "polling every 100 ms". */
  readonly name: string;
  readonly kind: ContestantKind;
  /** One sentence: how it moves an event. */
  readonly summary: string;
  readonly version?: string;
  /** Why it could not run here at all. */
  readonly unavailable?: string;
}

export interface ScenarioFacts {
  /** `steady-50`, `steady-500`, `steady-5000`, `idle`, `burst`, `drain`, `drain-1000-rows`, `hot-aggregate`, `payload-16k`, `payload-256k`, `transaction-100k` … */
  readonly id: string;
  readonly title: string;
  /** One sentence: what the producers do. */
  readonly summary: string;
  /** Which figure it is about. */
  readonly measures: 'latency' | 'throughput';
  /** Events that one run commits, and their payload size. */
  readonly events: number;
  readonly payloadBytes: number;
  /** Events per second that the producers intend; absent where everything is written at once. */
  readonly ratePerSecond?: number;
}

export interface RunReport {
  readonly contestant: string;
  readonly scenario: string;
  readonly outcome: 'measured' | 'failed' | 'skipped';
  /** Why it failed or was skipped. */
  readonly reason?: string;
  readonly seconds: number;
  /** Events committed by the producers. */
  readonly committed: number;
  readonly check: DeliveryCheck;
  /** From the producer's intended send time until an independent blocked reader had the entry. */
  readonly latency?: LatencyReport;
  /** From COMMIT sent (the actual send) until the reader had it: apart from the above only when the producer ran late. */
  readonly serviceLatency?: LatencyReport;
  readonly throughput?: ThroughputReport;
  readonly processes: ProcessReport;
  readonly database: DatabaseCost;
}

/** What stood in the streams at the end, against what was committed. */
export interface DeliveryCheck {
  readonly missing: number;
  readonly duplicated: number;
  /** Entries that stand behind a later one of the same aggregate. */
  readonly misordered: number;
  /** A peer that was still delivering when its time was over. */
  readonly timedOut: boolean;
  /** Entries of events that nobody committed, or without a readable payload; absent when there is none. */
  readonly foreign?: number;
}

export interface LatencyReport {
  readonly count: number;
  readonly minMs: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Percentile (0 to 100) and value, ascending, denser towards the end: what an HDR plot draws. */
  readonly distribution: readonly (readonly [percentile: number, ms: number])[];
  readonly overTime: readonly LatencyAt[];
}

export interface LatencyAt {
  /** Since the load began. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly count: number;
}

export interface ThroughputReport {
  readonly eventsPerSecond: number;
  /** From the first entry that stood to the last. */
  readonly seconds: number;
  /** Seconds since the drain began, and entries that stood by then. */
  readonly overTime: readonly (readonly [seconds: number, entries: number])[];
}

/** By process, during the run; absent where a server runs elsewhere. */
export interface ProcessReport {
  readonly relay?: ProcessCost;
  /** All backends that work for the relay: its own, and the walsender. */
  readonly postgres?: ProcessCost;
  readonly redis?: ProcessCost;
}

export interface ProcessCost {
  readonly cpuSeconds: number;
  readonly peakRssBytes?: number;
  /** CPU microseconds for each committed event. */
  readonly cpuUsPerEvent: number;
}

/** What the relay cost the database: the run's figures less those of the same load without any relay. */
export interface DatabaseCost {
  readonly transactions?: number;
  readonly transactionsPerSecond?: number;
  readonly queriesPerSecond?: number;
  readonly buffersHit?: number;
  readonly buffersRead?: number;
  readonly walBytes?: number;
  readonly deadTuples?: number;
}

export interface WriterReport {
  readonly payloadBytes: number;
  readonly costs: readonly WriterCost[];
  /** Why something is absent. */
  readonly notes: readonly string[];
}

export interface WriterCost {
  readonly id: 'none' | 'table' | 'cleaned' | 'messages';
  readonly name: string;
  /** Of one UPDATE and one event each. */
  readonly transactions: number;
  /** From BEGIN sent to COMMIT answered, the median. */
  readonly transactionMs: number;
  /** That, divided by the same transaction without an event. */
  readonly timesNone: number;
  /** Beyond that transaction. With the DELETE, where there is one. */
  readonly walBytesPerEvent: number;
  /** Table and indexes. */
  readonly storedBytesPerEvent: number;
  /** Row versions that were updated or deleted, as the server counted them. */
  readonly deadRowsPerEvent: number;
  /** Of one VACUUM at the end. */
  readonly vacuumWalBytesPerEvent: number;
  readonly vacuumUsPerEvent: number;
}

export interface FloorReport {
  /** Commit until a bare client had the CopyData. */
  readonly copyData?: LatencyReport;
  /** One XADD and its answer, over an idle connection. */
  readonly redisRoundTrip?: LatencyReport;
  /** Commit until a blocked reader had what a bare loop (CopyData straight into one XADD) appended. */
  readonly bareLoop?: LatencyReport;
  /** The drain's backlog read by pg_recvlogical to /dev/null, over the same connection type. */
  readonly recvlogicalEventsPerSecond?: number;
  readonly recvlogicalVersion?: string;
  /** The same backlog by pg_logical_slot_peek_binary_changes, counted in the server. */
  readonly serverDecodeEventsPerSecond?: number;
  /** Why something of the above is absent. */
  readonly notes: readonly string[];
}
