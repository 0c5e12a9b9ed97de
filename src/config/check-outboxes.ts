import type { LengthLimit } from '../core/outbox-mapping.ts';
import { hasTable } from './outbox-source.ts';
import type { CompleteValues, OutboxSettings, SettingKey } from './settings.ts';

/** Something about the outboxes that doesn't fit. */
export interface OutboxProblem {
  /** Null: about all of them. */
  readonly outbox: string | null;
  readonly key: SettingKey | 'routes';
  /** What was expected. */
  readonly message: string;
}

/** What must fit between the settings of all and those of each outbox. */
export function findOutboxProblems(
  values: CompleteValues,
  outboxes: readonly OutboxSettings[],
): readonly OutboxProblem[] {
  return [
    ...outboxes.flatMap((outbox) => findCleanUpProblems(values, outbox)),
    ...(outboxes.some(hasTable) ? [] : findTableProblems(values)),
    ...findTrimProblems(values, outboxes),
    ...findLengthConflicts(outboxes),
  ];
}

function findCleanUpProblems(
  { auditIntervalMs }: CompleteValues,
  { name, cleanup, cleanupRetentionMs, columnTime }: OutboxSettings,
): readonly OutboxProblem[] {
  const problems: OutboxProblem[] = [];
  if (cleanup !== 'none' && auditIntervalMs > 0 && cleanupRetentionMs < AUDIT_ROUNDS_KEPT * auditIntervalMs) {
    problems.push({
      outbox: name,
      key: 'cleanupRetentionMs',
      message:
        `at least ${AUDIT_ROUNDS_KEPT} x auditIntervalMs (${auditIntervalMs}): a row that goes before it was audited ` +
        'is one whose loss nobody sees',
    });
  }
  if (cleanup === 'partitions' && columnTime === null) {
    problems.push({
      outbox: name,
      key: 'columnTime',
      message: 'the column that the table is partitioned by, for cleanup=partitions',
    });
  }
  return problems;
}

/** Where no outbox has a table. */
function findTableProblems({ cleanup, auditIntervalMs }: CompleteValues): readonly OutboxProblem[] {
  const because = 'where no outbox has a table';
  return [
    ...(cleanup === 'none' ? [] : [{ outbox: null, key: 'cleanup', message: `none ${because}` } as const]),
    ...(auditIntervalMs === 0
      ? []
      : [{ outbox: null, key: 'auditIntervalMs', message: `0 ${because}` } as const]),
  ];
}

function findTrimProblems(
  { trim, trimMaxAgeMs }: CompleteValues,
  outboxes: readonly OutboxSettings[],
): readonly OutboxProblem[] {
  const lengths = outboxes.flatMap((outbox) => [
    outbox.trimMaxLength,
    ...outbox.routes.map(({ trimMaxLength }) => trimMaxLength ?? 'off'),
  ]);
  if (trim !== 'even-unread' || (trimMaxAgeMs ?? 'off') !== 'off') return [];
  if (lengths.some((length) => length !== 'off')) return [];
  return [
    {
      outbox: null,
      key: 'trim',
      message: 'with even-unread a trimMaxLength or a trimMaxAgeMs: it would have nothing to go by',
    },
  ];
}

/** Streams with a name of their own are compared here; of those whose names come from data the largest limit counts. */
function findLengthConflicts(outboxes: readonly OutboxSettings[]): readonly OutboxProblem[] {
  const known = new Map<string, LengthLimit>();
  const problems = new Map<string, OutboxProblem>();
  for (const outbox of outboxes) {
    const { name, routes } = outbox;
    for (const { stream, trimMaxLength, isDropped } of [...routes, { ...outbox, isDropped: false }]) {
      const text = stream ?? outbox.stream;
      if (isDropped || text.includes('${')) continue;
      const length = trimMaxLength ?? outbox.trimMaxLength;
      const other = known.get(text) ?? length;
      known.set(text, other);
      if (other === length) continue;
      problems.set(text, {
        outbox: null,
        key: 'routes',
        message: `one trimMaxLength for a stream; ${JSON.stringify(text)} is given ${other} and, in ${name}, ${length}`,
      });
    }
  }
  return [...problems.values()];
}

/** A row is judged a round after it was inserted; one more for a round that is late. */
const AUDIT_ROUNDS_KEPT = 3;
