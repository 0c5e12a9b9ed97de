import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadRows, selectRows } from '../../campaign/load-rows.ts';
import { replaceCampaign } from '../../campaign/reliability-page.ts';
import type { Row } from '../../campaign/row.ts';
import { emptyTally } from '../../campaign/tally.ts';

const PAGE = 'before\n<!-- campaign:begin -->\n\n<!-- campaign:end -->\nafter\n';

function row(id: Row['id'], change: Partial<Row> = {}): Row {
  return { id, fault: `fault ${id}`, must: 'OK', runs: 1, run: async () => undefined, ...change };
}

function campaign(page: string, rows: readonly Row[], ran: readonly Row[]): string {
  const results = ran.map((each) => ({
    row: each,
    seed: 1,
    outcome: 'passed' as const,
    tally: { ...emptyTally(), events: 1234, faults: 3, recoveriesMs: [10, 2000, 30] },
    elapsedMs: 1,
  }));
  const result = { seed: 1, results, notRun: [], elapsedMs: 60_000, isInterrupted: false };
  return replaceCampaign(page, { rows, result, servers: 'servers' });
}

test('a campaign writes a line for each row, in the order of the table, and says which did not run yet', () => {
  const rows = [row('D1'), row('P10'), row('P2')];
  const page = campaign(PAGE, rows, rows.slice(0, 1));
  expect(page).toMatch(/^before\n[\s\S]*\nafter\n$/);
  expect([...page.matchAll(/^\| ([PD]\d+) \|/gm)].map(([, id]) => id)).toEqual(['P2', 'P10', 'D1']);
  expect(page).toContain('| D1 | fault D1 | OK | 1 | 3 | 1,234 | 0 | 0 | 0 | 30 ms, 2.0 s | passed |');
  expect(page).toMatch(/\| P2 \| fault P2 \|.*\| not run yet \|/);
});

test('a campaign of one row leaves the lines of the others; a row that is no more goes', () => {
  const [first, second] = [row('D1'), row('D2')];
  const both = campaign(PAGE, [first, second], [first]);
  const page = campaign(both, [first, second], [second]);
  expect(page.match(/\| passed \|/g)).toHaveLength(2);
  expect(campaign(page, [second], [])).not.toContain('| D1 |');
});

test('the page in docs has the places that a campaign and a soak write to', () => {
  const page = readFileSync(new URL('../../../docs/reliability.md', import.meta.url), 'utf8');
  for (const name of ['campaign', 'soak']) {
    expect(page.split(`<!-- ${name}:begin -->`)).toHaveLength(2);
    expect(page.indexOf(`<!-- ${name}:begin -->`)).toBeLessThan(page.indexOf(`<!-- ${name}:end -->`));
  }
});

test('every row says what it breaks, and every class has one in the short selection', async () => {
  const rows = await loadRows();
  for (const { id, fault } of rows) expect(`${id} ${fault}`).toMatch(/^[PNRDOX]\d+ \S/);
  const classes = new Set(rows.filter(({ isShort }) => isShort === true).map(({ id }) => id.slice(0, 1)));
  expect([...classes].sort()).toEqual(['D', 'N', 'O', 'P', 'R', 'X']);
  expect(selectRows(rows, 'n1, o').map(({ id }) => id)).toEqual(['N1', 'O1', 'O2', 'O3', 'O4']);
  expect(() => selectRows(rows, 'Q9')).toThrow('no such row: Q9');
});
