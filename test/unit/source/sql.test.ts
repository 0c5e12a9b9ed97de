import { expect, test } from 'vitest';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../../src/source/sql.ts';

test('an identifier is always quoted, and its quotes are doubled', () => {
  expect(quoteIdentifier('Out"box')).toBe('"Out""box"');
  expect(quoteQualified({ schema: 'a.b', name: 'c' })).toBe('"a.b"."c"');
});

test('a literal survives quotes, and backslashes whatever standard_conforming_strings says', () => {
  expect(quoteLiteral("o'brien")).toBe("'o''brien'");
  expect(quoteLiteral("\\' OR 1=1 --")).toBe("E'\\\\'' OR 1=1 --'");
});
