import type { OutboxSettings } from '../config/settings.ts';
import type { DeadLetterEntry, DeadLetterHead } from '../sink/dead-letter-reader.ts';
import { formatLetterId } from './letter-id.ts';

/** Dead letters for people and for `--json`. Pure. */

const WIDTHS = [18, 24, 18, 18, 45];

export const LIST_HEAD = row('ID', 'WRITTEN', 'REASON', 'POSITION', 'EVENT', 'STREAM');

export function listLine(base: string, head: DeadLetterHead): string {
  return row(
    formatLetterId(base, head),
    writtenAt(head),
    head.reason,
    `${head.lsn} #${head.seq}`,
    `${head.outbox} ${shown(head.eventId ?? '(no id)')}`,
    head.stream === null ? '' : shown(head.stream),
  );
}

export function headJson(base: string, head: DeadLetterHead): Record<string, unknown> {
  const { entryId, key, seq, ...rest } = head;
  return {
    letter: formatLetterId(base, { key, entryId }),
    writtenAt: writtenAt(head),
    ...rest,
    seq: Number(seq),
  };
}

/** `hasValues`: the payload and the other columns as well; what names the event is always shown. */
export function letterText(
  base: string,
  letter: DeadLetterEntry,
  options: { readonly outbox: OutboxSettings | undefined; readonly hasValues: boolean },
): string {
  const lines: [string, string][] = [
    ['letter', `${formatLetterId(base, letter)} in ${letter.key}`],
    ['written', writtenAt(letter)],
    ['reason', letter.reason],
    ['', letter.message],
    ['outbox', letter.outbox + (letter.table === '' ? ' (messages)' : ` (table ${letter.table})`)],
    ['event', letter.eventId === null ? '(no id)' : shown(letter.eventId)],
    ['stream', letter.stream === null ? '(none)' : shown(letter.stream)],
    ['position', `${letter.lsn} #${letter.seq}, committed ${letter.committedAt}`],
    ...[...letter.columns].map(([name, value], place): [string, string] => [
      place === 0 ? 'columns' : '',
      `${name}: ${columnText(name, value, options)}`,
    ]),
    ...(letter.content === null
      ? []
      : [['content', columnText('', letter.content, options)] satisfies [string, string]]),
  ];
  const hidden = options.hasValues ? '' : '\nValues are shown with --payload.\n';
  return `${lines.map(([name, text]) => `${name.padEnd(10)} ${text}`).join('\n')}\n${hidden}`;
}

export function letterJson(
  base: string,
  letter: DeadLetterEntry,
  options: { readonly outbox: OutboxSettings | undefined; readonly hasValues: boolean },
): string {
  const { columns, content, ...head } = letter;
  const shownColumns = [...columns].map(([name, value]) => [
    name,
    value === null ? null : { bytes: value.length, ...(isShown(name, options) ? valueJson(value) : {}) },
  ]);
  const shownContent =
    content === null ? null : { bytes: content.length, ...(options.hasValues ? valueJson(content) : {}) };
  const json = {
    ...headJson(base, head),
    columns: Object.fromEntries(shownColumns),
    ...(shownContent === null ? {} : { content: shownContent }),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function columnText(
  name: string,
  value: Buffer | null,
  options: { readonly outbox: OutboxSettings | undefined; readonly hasValues: boolean },
): string {
  if (value === null) return 'NULL';
  if (!isShown(name, options)) return `${value.length} bytes`;
  const { text, base64 } = valueJson(value);
  return text === undefined ? `base64 ${base64}` : JSON.stringify(text);
}

function isShown(
  name: string,
  { outbox, hasValues }: { readonly outbox: OutboxSettings | undefined; readonly hasValues: boolean },
): boolean {
  if (hasValues) return true;
  if (outbox === undefined || name === outbox.columnPayload) return false;
  return [
    ...outbox.columnId,
    outbox.columnType,
    outbox.columnAggregateType,
    outbox.columnAggregateId,
  ].includes(name);
}

function valueJson(value: Buffer): { readonly text?: string; readonly base64?: string } {
  const text = value.toString('utf8');
  return Buffer.from(text, 'utf8').equals(value) ? { text } : { base64: value.toString('base64') };
}

function writtenAt({ entryId }: DeadLetterHead): string {
  return new Date(Number(entryId.split('-')[0])).toISOString();
}

/** Somebody's data, on a terminal. */
function shown(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(cut) ? cut : JSON.stringify(cut);
}

function row(...cells: readonly string[]): string {
  return cells
    .map((cell, place) => cell.padEnd(WIDTHS[place] ?? 0))
    .join('  ')
    .trimEnd();
}
