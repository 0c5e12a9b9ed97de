import { expect, test } from 'vitest';
import { peers } from '../../../../dev/bench/peers/peers.ts';

test('every peer has an id of its own and says how it moves an event', () => {
  const ids = peers().map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { id, kind, summary } of peers()) {
    expect(id).toMatch(/^[a-z0-9-]+$/);
    expect(kind).toBe('peer');
    expect(summary).toMatch(/\.$/);
  }
});
