import { expect, test } from 'vitest';
import { formatDurability, parseDurability } from '../../../src/core/durability.ts';

test.each(['reply', 'fsync', 'replicas:1', 'replicas:12'])(
  '%s is a level, and is written as it is read',
  (text) => {
    const level = parseDurability(text);
    expect(level && formatDurability(level)).toBe(text);
  },
);

test.each(['', 'replicas', 'replicas:0', 'replicas:-1', 'replicas:1.5', 'replicas:101', 'REPLY', 'fsync '])(
  '%j is no level',
  (text) => {
    expect(parseDurability(text)).toBeUndefined();
  },
);
