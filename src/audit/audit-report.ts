/** What an audit found, for people and for `--json`. */
export interface AuditReport {
  readonly table: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly range: {
    readonly from: string | null;
    readonly to: string | null;
    readonly timeColumn: string | null;
  };
  readonly rows: number;
  readonly entries: number;
  readonly streams: number;
  /** These make an audit not clean. */
  readonly findings: Readonly<Record<Finding, number>>;
  /** These don't: what can't be told, and what is worth knowing. */
  readonly notes: Readonly<Record<Note, number>>;
  readonly examples: Readonly<Partial<Record<Finding | Note, readonly Example[]>>>;
  readonly relay: {
    readonly watermark: string;
    readonly floor: string;
    readonly confirmed: string | null;
    /** How it is known which rows the relay has passed. */
    readonly judgedBy: 'snapshot' | 'slot' | 'nothing';
    /** From when on the streams can tell. */
    readonly since: string | null;
    /** Confirmed rows are deleted after a while: an event whose row is gone is not compared. */
    readonly isCleanedUp?: true;
  };
  readonly spoolBytes: number;
  readonly repair?: RepairReport;
}

export interface RepairReport {
  readonly isDone: boolean;
  readonly recovered: number;
  /** Missing, and not recovered: the row is gone by now, its id is shared, or there are too many for one run. */
  readonly left: number;
}

export const FINDINGS = ['missing', 'duplicated', 'misordered', 'altered', 'foreign'] as const;
export type Finding = (typeof FINDINGS)[number];

export const NOTES = [
  'misorderedInAggregate',
  'inFlight',
  'trimmed',
  'olderThanStreams',
  'unroutable',
  'elsewhere',
  'withoutRow',
  'rowsWithoutId',
  'entriesWithoutId',
  'repeatedIds',
  'recovered',
  'redriven',
  'deadLettered',
  'fromSnapshot',
  'replayed',
  'newHistories',
] as const;
export type Note = (typeof NOTES)[number];

export interface Example {
  readonly stream: string;
  /** The event's id, where a row tells it. */
  readonly eventId?: string;
  /** The entry's ID in its stream. */
  readonly entryId?: string;
  readonly insertedAt?: string;
}

export function isClean(report: Pick<AuditReport, 'findings'>): boolean {
  return FINDINGS.every((finding) => report.findings[finding] === 0);
}

/** Clean, or nothing was wrong but missing events, and these stand now. */
export function isMended({ findings, repair }: Pick<AuditReport, 'findings' | 'repair'>): boolean {
  const isRecovered = repair?.isDone === true && repair.left === 0;
  return FINDINGS.every((finding) => findings[finding] === 0 || (finding === 'missing' && isRecovered));
}

/** Microseconds since 1970 as ISO 8601 in UTC. */
export function formatUs(us: bigint): string {
  const seconds = us >= 0n ? us / 1_000_000n : (us - 999_999n) / 1_000_000n;
  const micros = String(us - seconds * 1_000_000n).padStart(6, '0');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, -5)}.${micros}Z`;
}
