import { describe, expect, test } from 'vitest';
import { checkText, renderTables } from '../../../src/bench/report-table.ts';
import { sampleBenchReport } from '../../support/sample-bench-report.ts';

describe('the tables', () => {
  const text = renderTables(sampleBenchReport());

  test('name every scenario and every relay that was measured', () => {
    const report = sampleBenchReport();
    for (const { id } of report.scenarios.filter((scenario) =>
      report.runs.some((run) => run.scenario === scenario.id),
    )) {
      expect(text).toContain(`[${id}]`);
    }
    for (const { contestant } of report.runs.filter(({ outcome }) => outcome === 'measured')) {
      expect(text).toContain(contestant);
    }
  });

  test('say why something was not measured', () => {
    for (const { reason } of sampleBenchReport().runs.filter(({ outcome }) => outcome !== 'measured')) {
      expect(text).toContain(reason);
    }
  });

  test('say what an event costs its writer, beside the floor, and nothing of it when nobody measured it', () => {
    const rows = text.slice(text.indexOf('What an event costs its writer')).split('\n');
    const cellsOf = (name: string) =>
      rows
        .find((row) => row.includes(name))
        ?.split('│')
        .map((cell) => cell.trim());
    expect(cellsOf(' messages ')).toEqual(expect.arrayContaining(['messages', '0.37', '1.19', '371', '0']));
    expect(cellsOf('│ no event ')).toEqual(expect.arrayContaining(['0.31', '1.00', '–']));
    const { writers, ...rest } = sampleBenchReport();
    expect(writers?.costs).toHaveLength(4);
    expect(renderTables(rest)).not.toContain('costs its writer');
    expect(
      renderTables({ ...rest, writers: { payloadBytes: 0, costs: [], notes: ['It may not.'] } }),
    ).toContain('It may not.');
  });

  test('have no colours: they are for files, too', () => {
    expect(text).not.toContain('\u001b');
  });
});

describe('what a check says', () => {
  const exact = { missing: 0, duplicated: 0, misordered: 0, timedOut: false };

  test('is one word when all is well', () => {
    expect(checkText(exact)).toBe('exact');
  });

  test('is every fault with its number', () => {
    expect(checkText({ missing: 1200, duplicated: 2, misordered: 3, foreign: 4, timedOut: true })).toBe(
      '1,200 missing, 2 doubled, 3 misordered, 4 foreign, not done in time',
    );
  });
});
