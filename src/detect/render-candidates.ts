import { sourceOf } from '../config/outbox-source.ts';
import { findPreset } from '../config/presets.ts';
import type { OutboxSettings } from '../config/settings.ts';
import { formatTableName } from '../config/table-name.ts';
import type { Candidate } from './detect-outboxes.ts';

/** What a person reads of them. */
export function renderCandidates(database: string, candidates: readonly Candidate[]): string {
  const [best, ...others] = candidates;
  if (best === undefined) return '';
  const lines = [
    others.length === 0
      ? `A table of the database ${database} that looks like an outbox:`
      : `Tables of the database ${database} that look like outboxes, the best first:`,
    ...candidates.flatMap((candidate, index) => ['', ...renderCandidate(candidate, index + 1)]),
  ];
  if (others.length > 0)
    lines.push(
      '',
      'The file is about the first. Another one: --table. Several in one relay: docs/mapping.md.',
    );
  return `${lines.join('\n')}\n`;
}

function renderCandidate(
  { proposal, outbox, sample, warnings, obstacle }: Candidate,
  number: number,
): string[] {
  const preset = proposal.preset === null ? undefined : findPreset(proposal.preset);
  const of = preset === undefined ? 'by its columns' : `preset ${proposal.preset}: ${preset.title}`;
  return [
    `${number}. ${formatTableName(proposal.table)}, ${of}`,
    ...group('score', [`${proposal.score} of 100`]),
    ...group('because', proposal.reasons),
    ...group('mapping', columnsOf(mappingOf(proposal.table.columns, outbox))),
    ...group('entry', sampleLines(sample)),
    ...group('NOT SO', obstacle === null ? [] : [obstacle]),
    ...group('mind', warnings),
  ];
}

function mappingOf(
  columns: readonly { readonly name: string; readonly type: string }[],
  outbox: OutboxSettings,
): readonly (readonly [field: string, column: string])[] {
  const typed = (name: string) => `${name} (${columns.find((column) => column.name === name)?.type ?? '?'})`;
  const role = (field: string, column: string | null): (readonly [string, string])[] =>
    column === null ? [] : [[field, typed(column)]];
  return [
    ['id', outbox.columnId.map(typed).join(', ')],
    ...role('type', outbox.columnType),
    ...role('aggregate_type', outbox.columnAggregateType),
    ...role('aggregate_id', outbox.columnAggregateId),
    ...role('payload', outbox.columnPayload),
    ...Object.entries(outbox.fields).map(([field, column]) => [field, typed(column)] as const),
    ['(time)', outbox.columnTime === null ? 'none' : typed(outbox.columnTime)],
    ['(stream)', outbox.stream],
    ...outbox.routes.map(({ when, stream, isDropped }) => {
      const condition = Object.entries(when)
        .map(([column, values]) => `${column} ${values.map((value) => value ?? 'NULL').join(' or ')}`)
        .join(', ');
      return [
        isDropped ? '(left out)' : '(route)',
        isDropped ? condition : `${condition}: ${stream ?? outbox.stream}`,
      ] as const;
    }),
  ];
}

function sampleLines({ entry, madeUpBecause }: Candidate['sample']): string[] {
  const made = madeUpBecause === null ? 'made of a row of the table' : `made up, since ${madeUpBecause}`;
  if (entry === null) return [`none: a route leaves this row out (${made})`];
  const fields = Object.entries(entry.fields).map(([name, value]) => [name, shortened(value)] as const);
  const lines = columnsOf([...fields, ['lsn, seq, committed_at', '']]);
  const last = `${(lines.pop() ?? '').trimEnd()}: from the WAL`;
  return [`in ${entry.stream}, ${made}`, ...[...lines, last].map((text) => `  ${text}`)];
}

function columnsOf(rows: readonly (readonly [name: string, text: string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
}

/** Each on a line of its own, the first with the name of them all. */
function group(name: string, texts: readonly string[]): string[] {
  return texts.map((text, index) => `   ${(index === 0 ? name : '').padEnd(9)} ${text}`.trimEnd());
}

/** On one line and not endless; bytes that are no text can't move the cursor. */
export function shortened(value: string): string {
  const text = value.slice(0, VALUE_SHOWN_MAX).replaceAll(/\p{Cc}|\u{FFFD}/gu, '·');
  return value.length > VALUE_SHOWN_MAX ? `${text}… (${value.length} characters)` : text;
}

/** The same for a program. */
export function candidateForJson({ proposal, outbox, sample, warnings, obstacle, file }: Candidate): unknown {
  const { score, preset, reasons } = proposal;
  const entry =
    sample.entry === null
      ? null
      : {
          stream: sample.entry.stream,
          fields: Object.fromEntries(
            Object.entries(sample.entry.fields).map(([name, value]) => [name, shortened(value)]),
          ),
        };
  return {
    table: formatTableName(proposal.table),
    score,
    preset,
    reasons,
    warnings,
    obstacle,
    mapping: { ...outbox, table: sourceOf(outbox) },
    sample: { entry, madeUpBecause: sample.madeUpBecause },
    file,
  };
}

const VALUE_SHOWN_MAX = 120;
