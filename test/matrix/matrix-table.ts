import Table from 'cli-table3';
import { REDIS_FLAVOURS } from '../../dev/servers/redis-flavour.ts';
import type { CellResult, CheckResult } from './run-cell.ts';
import type { Pair } from './server-versions.ts';

/** The heads and lines of Postgres × Redis: each cell says how many checks passed, which failed, or why there is nothing. */
export function matrixRows(results: readonly CellResult[]): {
  readonly head: readonly string[];
  readonly lines: readonly (readonly string[])[];
} {
  const postgres = [...new Set(results.map(({ pair }) => pair.postgres))];
  const redis = REDIS_FLAVOURS.filter((flavour) => results.some(({ pair }) => pair.redis === flavour));
  const versionOf = (side: 'postgres' | 'redis', version: string | number) =>
    results.find(({ pair, versions }) => pair[side] === version && versions !== null)?.versions?.[side];
  return {
    head: ['', ...redis.map((flavour) => versionOf('redis', flavour) ?? flavour)],
    lines: postgres.map((version) => [
      `PostgreSQL ${versionOf('postgres', version) ?? version}`,
      ...redis.map((flavour) => cellText(find(results, { postgres: version, redis: flavour }))),
    ]),
  };
}

function find(results: readonly CellResult[], wanted: Pair): CellResult | undefined {
  return results.find(({ pair }) => pair.postgres === wanted.postgres && pair.redis === wanted.redis);
}

/** Empty for a pair that was not asked for. */
function cellText(cell: CellResult | undefined): string {
  if (cell === undefined) return '';
  if (cell.versions === null) return 'not offered';
  const failed = cell.checks.filter(({ outcome }) => outcome === 'failed').map(({ check }) => check.id);
  if (failed.length > 0) return `failed: ${failed.join(', ')}`;
  if (cell.outcome === 'failed') return 'failed';
  const passed = cell.checks.filter(({ outcome }) => outcome === 'passed').length;
  return cell.outcome === 'interrupted' ? `interrupted after ${passed}` : `passed ${passed}`;
}

export function formatMatrix(results: readonly CellResult[]): string {
  const { head, lines } = matrixRows(results);
  const table = new Table({ head: [...head], style: { head: [], border: [] } });
  for (const line of lines) table.push([...line]);
  return table.toString();
}

/** Why cells or checks are missing, each reason once, with where it holds. */
export function missingReasons(results: readonly CellResult[]): string[] {
  const places = new Map<string, Set<string>>();
  const add = (reason: string, place: string) => {
    places.set(reason, (places.get(reason) ?? new Set()).add(place));
  };
  for (const { pair, versions, cause, checks } of results) {
    if (versions === null) add(cause ?? 'no reason given', 'whole cells');
    for (const { check, outcome, cause: why } of checks) {
      if (outcome !== 'not offered' || why === undefined) continue;
      add(`${check.id}: ${why}`, check.id === 'filter' ? `PostgreSQL ${pair.postgres}` : pair.redis);
    }
  }
  return [...places].map(([reason, where]) => `${reason} (${[...where].join(', ')})`);
}

export function formatSum(results: readonly CellResult[]): string {
  const checks = results.flatMap((cell) => cell.checks);
  const count = (outcome: CheckResult['outcome']) =>
    checks.filter((check) => check.outcome === outcome).length;
  const events = checks.reduce((sum, check) => sum + check.events, 0);
  const ran = results.filter(({ versions }) => versions !== null);
  const longest = Math.max(0, ...ran.map(({ elapsedMs }) => elapsedMs));
  return (
    `${ran.length} pairs, ${checks.length} checks: ${count('passed')} passed, ${count('failed')} failed, ` +
    `${count('not offered')} not offered; ${events.toLocaleString('en')} events compared with what was committed; ` +
    `the longest pair took ${(longest / 1000).toFixed(0)} s`
  );
}
