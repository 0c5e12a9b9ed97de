import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** What dev/fixtures/record-pgoutput.ts wrote: a slot's stream as it came, and what SQL says was committed. */
export interface Recording {
  readonly postgres: string;
  readonly tables: Readonly<Record<string, RecordedTable>>;
  /** In commit order; only those that left a row in one of the tables. */
  readonly transactions: readonly RecordedTransaction[];
  /** Contents of CopyData messages: XLogData and keepalives. */
  readonly frames: readonly Buffer[];
}

export interface RecordedTable {
  readonly schema: string;
  readonly table: string;
  /** By role. */
  readonly columns: readonly string[];
}

export interface RecordedTransaction {
  readonly label: string;
  readonly xid: number;
  readonly rows: readonly { readonly table: string; readonly values: readonly RecordedValue[] }[];
}

/** Long values stand as their digest. */
export type RecordedValue = string | null | { readonly bytes: number; readonly sha256: string };

export function loadRecording(major: number): Recording {
  const file = new URL(`../fixtures/pgoutput-${major}.json`, import.meta.url);
  const raw = JSON.parse(readFileSync(file, 'utf8')) as RawRecording;
  const frames = raw.frames.map((frame) =>
    typeof frame === 'string' ? Buffer.from(frame, 'base64') : gunzipSync(Buffer.from(frame.gzip, 'base64')),
  );
  return { ...raw, frames };
}

interface RawRecording extends Omit<Recording, 'frames'> {
  readonly frames: readonly (string | { readonly gzip: string })[];
}

export const RECORDED_MAJORS = [14, 15, 16, 17, 18] as const;

/** The contents of the XLogData frames: one pgoutput message each. */
export function pgoutputMessages(recording: Recording): Buffer[] {
  return recording.frames.filter((frame) => frame[0] === XLOG_DATA).map((frame) => frame.subarray(25));
}

/** As the recorder shortened it, for comparing. */
export function shorten(value: string | null): RecordedValue {
  if (value === null || value.length < 2000) return value;
  return { bytes: Buffer.byteLength(value), sha256: createHash('sha256').update(value).digest('hex') };
}

export const XLOG_DATA = 0x77; // 'w'
export const KEEPALIVE = 0x6b; // 'k'
