import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { replaceSettings, settingsTable } from '../../../dev/docs/generate.ts';
import { describeSettings } from '../../../src/config/describe-settings.ts';

const README = new URL('../../../README.md', import.meta.url);

test('the table has one row for every setting', () => {
  for (const { env } of describeSettings()) {
    expect(
      settingsTable()
        .split('\n')
        .filter((line) => line.startsWith(`| \`${env}\` `)),
    ).toHaveLength(1);
  }
});

test('only what stands between the markers is replaced', () => {
  const readme = replaceSettings('before\n<!-- settings:begin -->stale table<!-- settings:end -->\nafter\n');
  expect(readme).toMatch(/^before\n<!-- settings:begin -->\n\n\| Environment/);
  expect(readme).toMatch(/\|\n\n<!-- settings:end -->\nafter\n$/);
  expect(readme).not.toContain('stale table');
  expect(replaceSettings(readme)).toBe(readme);
});

test('a README without markers is refused', () => {
  expect(() => replaceSettings('nothing here')).toThrow('settings:begin');
  expect(() => replaceSettings('<!-- settings:end --><!-- settings:begin -->')).toThrow('settings:begin');
});

test("README.md's table of settings is the schema (if not: npm run docs)", () => {
  const readme = readFileSync(README, 'utf8');
  expect(readme).toBe(replaceSettings(readme));
});
