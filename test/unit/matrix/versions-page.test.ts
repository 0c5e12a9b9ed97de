import { expect, test } from 'vitest';
import { CHECKS } from '../../matrix/checks.ts';
import type { CellResult, CheckResult } from '../../matrix/run-cell.ts';
import type { Pair } from '../../matrix/server-versions.ts';
import { replaceMatrix } from '../../matrix/versions-page.ts';

const [first, second] = CHECKS as [(typeof CHECKS)[0], (typeof CHECKS)[0]];

function result(check: typeof first, outcome: CheckResult['outcome'], cause?: string): CheckResult {
  return { check, outcome, events: 1000, elapsedMs: 2000, ...(cause === undefined ? {} : { cause }) };
}

function cell(pair: Pair, checks: readonly CheckResult[]): CellResult {
  const outcome = checks.some((check) => check.outcome === 'failed') ? 'failed' : 'passed';
  const versions = { postgres: `${pair.postgres}.3`, redis: 'Redis 7.0.15' };
  return { pair, versions, outcome, checks, elapsedMs: 42_000 };
}

test('the page names what passed, what failed by its check, and why something was not offered', () => {
  const results: CellResult[] = [
    cell({ postgres: 14, redis: 'redis-7.0' }, [
      result(first, 'passed'),
      result(second, 'not offered', 'it came later'),
    ]),
    cell({ postgres: 17, redis: 'redis-7.0' }, [result(first, 'passed'), result(second, 'failed', 'boom')]),
    {
      pair: { postgres: 17, redis: 'valkey-9' },
      versions: null,
      outcome: 'not offered',
      cause: 'valkey-9: no apt',
      checks: [],
      elapsedMs: 10,
    },
  ];
  const page = replaceMatrix('before\n<!-- matrix:begin -->\nNot run yet.\n<!-- matrix:end -->\nafter\n', {
    results,
    checks: [first, second],
  });
  expect(page).toContain(
    [
      '|  | Redis 7.0.15 | valkey-9 |',
      '| --- | --- | --- |',
      '| PostgreSQL 14.3 | passed 1 |  |',
      `| PostgreSQL 17.3 | failed: ${second.id} | not offered |`,
    ].join('\n'),
  );
  expect(page).toContain('2 pairs, 4 checks: 2 passed, 1 failed, 1 not offered; 4,000 events compared');
  expect(page).toContain('- valkey-9: no apt');
  expect(page).toContain(`- ${second.id}: it came later`);
  expect(page).toContain(`| ${second.id} | ${second.what} | 0 of 1 |`);
  expect(page).not.toContain('Not run yet.');
  expect(page.startsWith('before\n')).toBe(true);
  expect(page.endsWith('\nafter\n')).toBe(true);
});

test('a page without its markers is left alone', () => {
  expect(() => replaceMatrix('# Versions\n', { results: [], checks: [] })).toThrow('matrix:begin');
});

test('every check has a name of its own', () => {
  expect(new Set(CHECKS.map(({ id }) => id)).size).toBe(CHECKS.length);
});
