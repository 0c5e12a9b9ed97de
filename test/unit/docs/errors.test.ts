import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../../../src/core/error-codes.ts';

const PAGE = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

/** Each third-level heading with the text under it, in the order of the page. */
const PARAGRAPHS = PAGE.split(/^### /m)
  .slice(1)
  .map((section) => {
    const [heading = '', ...lines] = section.split('\n');
    return { heading, text: lines.join('\n').split(/^## /m)[0]?.trim() ?? '' };
  });

test('docs/errors.md has one paragraph for every code, and none for anything else', () => {
  expect(PARAGRAPHS.map(({ heading }) => heading).toSorted()).toEqual([...CODES].toSorted());
});

describe('the paragraph of', () => {
  test.each(CODES)('%s begins with its exit code and its disposition', (code) => {
    const { exitCode, disposition } = ERROR_CODES[code];
    const text = PARAGRAPHS.find(({ heading }) => heading === code)?.text;
    expect(text).toMatch(new RegExp(`^\\*\\*Exit ${exitCode}, ${disposition}\\.\\*\\* \\S`));
  });

  test('REDIS_PRIVILEGE points to the list of rights', () => {
    const text = PARAGRAPHS.find(({ heading }) => heading === 'REDIS_PRIVILEGE')?.text;
    expect(text).toContain('(least-privilege.md#redis)');
  });
});

test('the page says what every disposition means', () => {
  for (const disposition of new Set(CODES.map((code) => ERROR_CODES[code].disposition))) {
    expect(PAGE).toContain(`\n| ${disposition} | `);
  }
});

test('every code that a paragraph refers to exists', () => {
  const names = [...PAGE.matchAll(/(?<!\w)(?:PG|REDIS|SLOT|LANE|EVENT|PUBLICATION|TABLE|TIMELINE)_[A-Z_]+/g)]
    .map(([name]) => name)
    .filter((name) => !name.endsWith('_URL'));
  expect(names.filter((name) => !(name in ERROR_CODES))).toEqual([]);
});
