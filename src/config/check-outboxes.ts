import type { LengthLimit } from '../core/outbox-mapping.ts';
import type { CompleteValues, OutboxSettings, SettingKey } from './settings.ts';

/** Something about the outboxes that doesn't fit; without a key, about what only the file can say. */
export interface OutboxProblem {
  readonly key: SettingKey | null;
  readonly message: string;
}

/** What must fit between the settings of all and those of each outbox. */
export function findOutboxProblems(
  values: CompleteValues,
  outboxes: readonly OutboxSettings[],
): readonly OutboxProblem[] {
  return [...findTrimProblems(values, outboxes), ...findLengthConflicts(outboxes)];
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
        key: null,
        message: `trimMaxLength: the stream ${JSON.stringify(text)} is given ${other} and, in ${name}, ${length}; expected one length for a stream`,
      });
    }
  }
  return [...problems.values()];
}
