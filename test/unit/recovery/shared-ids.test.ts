import { expect, test } from 'vitest';
import { mayShareStream } from '../../../src/recovery/shared-ids.ts';
import { parseStreamTemplate } from '../../../src/route/stream-template.ts';

test.each([
  ['a', 'a', true],
  ['a', 'b', false],
  ['a', 'a.b', false],
  ['outbox.${x}', 'outbox.${y}', true],
  ['outbox.${x}', 'outbox.orders', true],
  ['outbox.${x}', 'orders.${x}', false],
  ['outbox.${x}', 'outbox.orders.${y}', true],
  ['${x}.orders', '${x}.billing', false],
  ['${x}.orders', 'outbox.${x}', true],
  ['outbox.{${partition}}', 'outbox.{${partition}}.b', false],
])('%s and %s: may a stream be of both? %s', (one, other, isShared) => {
  const of = (text: string) => ({ templates: [parseStreamTemplate(text)] });
  expect(mayShareStream(of(one), of(other))).toBe(isShared);
  expect(mayShareStream(of(other), of(one))).toBe(isShared);
});
