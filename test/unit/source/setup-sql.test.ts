import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createSlotSql, offersFailover, setupScript } from '../../../src/source/setup-sql.ts';

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
      tables: [{ table: { schema: 'public', name: 'outbox' } }],
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
      headers: [],
    },
  );
  expect(statementsOf(`${read('outbox.sql')}\n${read('publication.sql')}`)).toBe(statementsOf(script));
});

test('a slot is made for failover where the server offers that, and not on a standby', () => {
  expect(createSlotSql({ slot: 'a' })).toBe(
    "SELECT lsn FROM pg_create_logical_replication_slot('a', 'pgoutput');",
  );
  expect(createSlotSql({ slot: 'a' }, { isFailover: true })).toContain("'pgoutput', failover => true)");
  expect(offersFailover({ versionNumber: 170_000, isInRecovery: false })).toBe(true);
  expect(offersFailover({ versionNumber: 169_999, isInRecovery: false })).toBe(false);
  expect(offersFailover({ versionNumber: 180_004, isInRecovery: true })).toBe(false);
});
