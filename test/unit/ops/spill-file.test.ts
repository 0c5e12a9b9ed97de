import * as fc from 'fast-check';
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SpillFile } from '../../../src/ops/spill-file.ts';

test('what was appended is read back from anywhere, whether it stands in the file or not yet', () => {
  const dir = mkdtempSync(join(tmpdir(), 'spill-test-'));
  const parts = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(parts, fc.nat(1000), fc.integer({ min: 1, max: 100_000 }), (lengths, share, size) => {
      using file = new SpillFile(dir);
      const chunks = lengths.map((length, index) => Buffer.alloc(length, index + 1));
      for (const chunk of chunks) file.append(chunk, chunk.length);
      const all = Buffer.concat(chunks);
      expect(file.byteCount).toBe(all.length);
      const from = Math.floor((all.length * share) / 1001);
      const into = Buffer.alloc(3 + size);
      const count = file.read(into, 3, from);
      expect(count).toBe(Math.min(size, all.length - from));
      expect(into.subarray(3, 3 + count).equals(all.subarray(from, from + count))).toBe(true);
      expect(readdirSync(dir)).toEqual([]);
    }),
  );
  rmdirSync(dir);
});
