import type { SurveyedTable } from '../../../src/source/table-survey.ts';

/**
 * A table as the catalog would tell it: `id bigint primary key, payload jsonb not null, …`, with `default now()`, `unique`,
 * `generated` where it says so. The type is the second word.
 */
export function surveyed(name: string, columns: string, more: Partial<SurveyedTable> = {}): SurveyedTable {
  const parts = columns.split(',').map((text) => text.trim());
  return {
    schema: 'public',
    name,
    kind: 'r',
    isUnlogged: false,
    hasRowSecurity: false,
    canSelect: true,
    rowEstimate: null,
    columns: parts.map((text) => {
      const [, column = '', type = ''] = /^("[^"]+"|\S+) (\S+)/.exec(text) ?? [];
      return {
        name: column.replaceAll('"', ''),
        type: TYPES[type] ?? type,
        declaredType: TYPES[type] ?? type,
        isNotNull: /not null|primary key/.test(text),
        isGenerated: text.includes('generated'),
        default: /default (\S+)/.exec(text)?.[1] ?? null,
      };
    }),
    primaryKey: namesWith(parts, 'primary key'),
    uniqueColumns: namesWith(parts, 'unique'),
    ...more,
  };
}

function namesWith(parts: readonly string[], word: string): string[] {
  return parts.filter((text) => text.includes(word)).map((text) => text.split(' ')[0]!.replaceAll('"', ''));
}

const TYPES: Readonly<Record<string, string>> = {
  timestamptz: 'timestamp with time zone',
  timestamp: 'timestamp without time zone',
  varchar: 'character varying(255)',
};
