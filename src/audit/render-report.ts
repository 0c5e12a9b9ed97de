import { count, grouped } from '../core/grouped.ts';
import {
  type AuditReport,
  type Example,
  type Finding,
  FINDINGS,
  isClean,
  isMended,
  type Note,
  NOTES,
} from './audit-report.ts';

/** The report for a person. Pure. */
export function renderReport(report: AuditReport): string {
  const { range, relay, notes } = report;
  const told = NOTES.filter((note) => notes[note] > 0);
  const lines = [
    `${report.table} against ${count(report.streams, 'stream')}, ${rangeText(range)}`,
    `${count(report.rows, 'row')}, ${count(report.entries, 'entry', 'entries')} in ${report.seconds} s`,
    `watermark ${relay.watermark}, floor ${relay.floor}, confirmed ${relay.confirmed ?? '(no slot)'}`,
    JUDGED_BY[relay.judgedBy],
    ...(relay.since === null ? [] : [`The streams can tell from ${relay.since} on.`]),
    ...(relay.isCleanedUp === true
      ? ['A clean-up deletes confirmed rows: of an event whose row is gone nothing can be said.']
      : []),
    '',
    ...FINDINGS.flatMap((finding) => section(finding, report.findings[finding], '', report)),
    ...(told.length === 0 ? [] : ['']),
    ...told.flatMap((note) => section(NOTE_NAMES[note], notes[note], NOTE_TEXTS[note], report, note)),
    '',
    ...repairLines(report),
    isClean(report)
      ? 'Clean.'
      : isMended(report)
        ? 'Clean again: what was missing was recovered.'
        : 'Not clean.',
  ];
  return `${lines.join('\n')}\n`;
}

function section(name: string, number: number, text: string, report: AuditReport, key?: Note): string[] {
  const head = `${name.padEnd(16)}${grouped(number).padStart(12)}${text === '' ? '' : `  ${text}`}`;
  if (number === 0) return [head];
  const examples = report.examples[key ?? (name as Finding)] ?? [];
  // Of the notes, those that are as they should be need no examples.
  const shown = key === undefined || EXAMPLED.includes(key) ? examples : [];
  const more = number - shown.length;
  return [
    head,
    ...shown.map((example) => `    ${exampleText(example)}`),
    ...(shown.length > 0 && more > 0 ? [`    … and ${grouped(more)} more`] : []),
  ];
}

function exampleText({ stream, eventId, entryId, insertedAt }: Example): string {
  return [
    stream,
    ...(eventId === undefined ? [] : [`event ${eventId.slice(0, 100)}`]),
    ...(entryId === undefined ? [] : [`entry ${entryId}`]),
    ...(insertedAt === undefined ? [] : [`inserted ${insertedAt}`]),
  ].join('  ');
}

function repairLines({ repair, findings }: AuditReport): string[] {
  if (repair === undefined) return [];
  if (!repair.isDone) {
    return [
      `Nothing was changed. To append the ${count(findings.missing, 'missing event')}, marked as recovered: the same command with --yes`,
    ];
  }
  return [
    `recovered       ${grouped(repair.recovered).padStart(12)}`,
    ...(repair.left === 0
      ? []
      : [
          `still missing   ${grouped(repair.left).padStart(12)}  the slot may still send them, their row is gone, or several rows share their id: audit again`,
        ]),
  ];
}

const JUDGED_BY: Readonly<Record<AuditReport['relay']['judgedBy'], string>> = {
  snapshot: 'The relay had passed everything that was committed when the audit began.',
  slot: 'The relay was behind: judged is only what it had confirmed some time before the audit.',
  nothing: 'No slot, so nobody knows what the relay has passed: nothing is called missing.',
};

const NOTE_NAMES: Readonly<Record<Note, string>> = {
  misorderedInAggregate: 'in an aggregate',
  inFlight: 'in flight',
  trimmed: 'trimmed',
  olderThanStreams: 'too old to tell',
  unroutable: 'without stream',
  elsewhere: 'elsewhere',
  withoutRow: 'without row',
  rowsWithoutId: 'rows, no id',
  entriesWithoutId: 'entries, no id',
  repeatedIds: 'repeated ids',
  recovered: 'recovered',
  redriven: 'redriven',
  deadLettered: 'dead letters',
  fromSnapshot: 'from a snapshot',
  replayed: 'replayed',
  newHistories: 'new histories',
};

const NOTE_TEXTS: Readonly<Record<Note, string>> = {
  misorderedInAggregate: 'of the misordered: behind a later event of their own aggregate',
  inFlight: 'not in a stream, and not yet surely passed by the relay: not judged',
  trimmed: 'not in their stream, which was trimmed up to them: not judged',
  olderThanStreams:
    'not in a stream, and older than every entry, or without a time: not judged (--complete judges them)',
  unroutable: 'they give no stream name; the relay stops in front of such events',
  elsewhere: 'in another stream than their row is routed to now',
  withoutRow: 'entries whose row was deleted or is outside of the range',
  rowsWithoutId: 'can’t be compared',
  entriesWithoutId: 'can’t be compared',
  repeatedIds: 'inserted again under the same id by the producer, and rightly delivered again',
  recovered: 'appended by audit --repair or walrelay recover',
  redriven: 'appended by walrelay dead-letters redrive',
  deadLettered: 'could not pass and stand in the dead letters: walrelay dead-letters list',
  fromSnapshot: 'appended by walrelay init --snapshot',
  replayed: 'appended by walrelay replay',
  newHistories: 'LSNs that begin anew in a stream: an epoch accepted on another cluster',
};

const EXAMPLED: readonly Note[] = ['misorderedInAggregate', 'unroutable', 'elsewhere'];

function rangeText({ from, to, timeColumn }: AuditReport['range']): string {
  if (from === null && to === null) return 'all rows';
  return `${timeColumn} ${from === null ? '' : `from ${from} `}${to === null ? 'up to now' : `to ${to}`}`;
}
