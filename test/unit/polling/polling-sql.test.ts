import { expect, test } from 'vitest';
import type { PolledTable } from '../../../src/polling/polled-table.ts';
import { polledTable } from '../../../src/polling/polled-table.ts';
import { type ClaimFacts, claimSql, settleSql, textArray } from '../../../src/polling/polling-sql.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { thrownCode } from '../thrown-code.ts';

const FACTS: ClaimFacts = {
  isOrderUnique: true,
  isPartitioned: false,
  isRaw: false,
  columnTypes: new Map(),
  isExclusive: false,
};

function tableOf(env: Record<string, string> = {}): PolledTable {
  return polledTable(
    loadSettings({
      env: { DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://r', ...env },
      flags: {},
      readFile: () => '',
    }),
  );
}

test('rows are claimed in the order of the column, and those that somebody else has are skipped', () => {
  expect(claimSql(tableOf({ WALRELAY_POLL_ORDER_COLUMN: 'id' }), FACTS, 100)).toBe(
    `SELECT ctid, "id", "type", "aggregatetype", "aggregateid", "payload"
FROM "public"."outbox"
ORDER BY "id"
LIMIT 100
FOR UPDATE SKIP LOCKED`,
  );
});

test('equal values are ordered by their place; a single worker claims under a lock; marked rows are left out', () => {
  const table = tableOf({ WALRELAY_POLL_AFTER: 'mark', WALRELAY_POLL_MARK_COLUMN: 'sent "at"' });
  const sql = claimSql(table, { ...FACTS, isOrderUnique: false, isExclusive: true }, 7);
  expect(sql).toContain(`WHERE "sent ""at""" IS NULL AND (SELECT pg_try_advisory_xact_lock(`);
  expect(sql).toContain('ORDER BY "created_at", ctid\nLIMIT 7\nFOR NO KEY UPDATE SKIP LOCKED');
  expect(settleSql(table, FACTS)).toBe(
    'UPDATE "public"."outbox" SET "sent ""at""" = now() WHERE ctid = ANY ($1::tid[])',
  );
});

test('a row of a partitioned table is named by its partition too', () => {
  const facts = { ...FACTS, isPartitioned: true, isOrderUnique: false };
  expect(claimSql(tableOf(), facts, 7)).toMatch(
    /^SELECT ctid, tableoid, "id"[^]*BY "created_at", tableoid, ctid\n/,
  );
  expect(settleSql(tableOf(), facts)).toContain('rows.tableoid = place.partition');
});

test('the lock is of the table, whatever it is called', () => {
  const facts = { ...FACTS, isExclusive: true };
  const sql = claimSql(tableOf({ WALRELAY_TABLE: `"a'b"."c\\d"` }), facts, 1);
  expect(sql).toContain(`hashtext(E'"a''b"."c\\\\d"')`);
});

test('a template names roles and columns; what it needs beside the entry is claimed with it', () => {
  const table = tableOf({
    WALRELAY_STREAM: 's.${aggregateid}.${region}.${kind}.${region}',
    WALRELAY_COLUMN_TYPE: 'kind',
  });
  expect(table.columns).toEqual(['id', 'kind', 'aggregatetype', 'aggregateid', 'payload', 'region']);
  const fixed = { WALRELAY_STREAM: 'walrelay:walrelay' };
  expect(thrownCode(() => tableOf(fixed))).toBe('CONFIG_INVALID');
});

test('an array of places is written as Postgres reads it', () => {
  expect(textArray([])).toBe('{}');
  expect(textArray(['(0,1)', '(7,12)'])).toBe('{"(0,1)","(7,12)"}');
});
