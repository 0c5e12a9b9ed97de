import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { setupScript } from '../../../src/source/setup-sql.ts';

/** Statements without comments and line breaks: what a server would run. */
function statementsOf(sql: string): string {
  return sql
    .split('\n')
    .filter((line) => !line.startsWith('--'))
    .join(' ')
    .replace(/\s+/g, ' ')
    .trim();
}

function read(name: string): string {
  return readFileSync(new URL(`../../../postgres/${name}`, import.meta.url), 'utf8');
}

test('the files in postgres/ hold exactly what init runs with the default settings', () => {
  const script = setupScript(
    {
      table: { schema: 'public', name: 'outbox' },
      publication: 'walrelay',
      slot: 'walrelay',
    },
    {
      id: 'id',
      aggregateType: 'aggregatetype',
      aggregateId: 'aggregateid',
      type: 'type',
      payload: 'payload',
      others: [],
    },
  );
  expect(statementsOf(`${read('outbox.sql')}\n${read('publication.sql')}`)).toBe(statementsOf(script));
});
