import { expect, test } from 'vitest';
import { renderProperties } from '../../../../dev/bench/peers/java-properties.ts';

test('a setting is a line', () => {
  expect(renderProperties({ 'a.b': 'c', 'd.e': 'f=g:h#i' })).toBe('a.b=c\nd.e=f=g:h#i\n');
});

test('a backslash survives the file format', () => {
  expect(renderProperties({ include: 'run\\.outbox' })).toBe('include=run\\\\.outbox\n');
});

test('an expression is text, not replaced by another setting', () => {
  expect(renderProperties({ password: 'a${b}$1' })).toBe('password=a\\\\${b}$1\n');
});

test('white space at the start and line ends do not get lost', () => {
  expect(renderProperties({ password: ' a\nb' })).toBe('password=\\ a\\nb\n');
});
