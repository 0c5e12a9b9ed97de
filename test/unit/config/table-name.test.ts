import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTableName, isIdentifier, parseTableName } from '../../../src/config/table-name.ts';

test.each([
  ['outbox', 'public', 'outbox'],
  ['app.outbox', 'app', 'outbox'],
  ['"My Schema"."Out Box"', 'My Schema', 'Out Box'],
  ['app."a.b"', 'app', 'a.b'],
  ['"say ""hi"""', 'public', 'say "hi"'],
])('%s', (text, schema, name) => {
  expect(parseTableName(text)).toEqual({ schema, name });
});

test.each(['', '.', 'a.', '.a', 'a.b.c', 'Outbox', 'a b', '"a', '""', '"a"b', '1a', 'a'.repeat(64), 'a-b'])(
  '"%s" is no table name',
  (text) => {
    expect(parseTableName(text)).toBeUndefined();
  },
);

test('every name that Postgres can hold survives being printed and read', () => {
  const name = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter(isIdentifier);
  fc.assert(
    fc.property(name, name, (schema, table) => {
      expect(parseTableName(formatTableName({ schema, name: table }))).toEqual({ schema, name: table });
    }),
  );
});
