import * as fc from 'fast-check';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AuditRecord } from '../../../src/audit/audit-record.ts';
import { keyOf } from '../../../src/audit/event-digest.ts';
import { Spool } from '../../../src/audit/spool.ts';

const row = fc.record({
  kind: fc.constant('row' as const),
  digest: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  stream: fc.integer({ min: 0, max: 0xffff_ffff }),
  timeUs: fc.option(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n })),
  xid: fc.integer({ min: 0, max: 0xffff_ffff }),
  ordinal: fc.integer({ min: 0, max: 2 ** 47 }),
  isDue: fc.boolean(),
  isLossy: fc.boolean(),
});
const entry = fc.record({
  kind: fc.constant('entry' as const),
  digest: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  stream: fc.integer({ min: 0, max: 0xffff_ffff }),
  position: fc.option(
    fc.record({
      lsn: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      seq: fc.integer({ min: 0, max: 2 ** 47 }),
    }),
  ),
  origin: fc.constantFrom('relayed', 'recovered', 'replayed', 'snapshot', 'redriven', 'dead'),
  order: fc.constantFrom('kept', 'broken', 'aggregate'),
  isLossy: fc.boolean(),
  entryMs: fc.integer({ min: 0, max: 2 ** 47 }),
  entrySeq: fc.integer({ min: 0, max: 0xffff_ffff }),
});

test('what was added comes back whole, in groups of one id and in its order, whatever the size of a part', () => {
  const events = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.oneof(row, entry)), {
    maxLength: 300,
  });
  fc.assert(
    fc.property(events, fc.constantFrom(300, 5_000, 1_000_000), (added, partBytesMax) => {
      using spool = new Spool({ partBytesMax });
      const expected = new Map<string, AuditRecord[]>();
      for (const [number, fields] of added) {
        const id = `événement-${number}`;
        const key = keyOf(id);
        const record = (fields.kind === 'row' ? { ...fields, key, id } : { ...fields, key }) as AuditRecord;
        spool.add(record);
        const name = key.toString('hex');
        expected.set(name, [...(expected.get(name) ?? []), record]);
      }
      const found = new Map<string, AuditRecord[]>();
      for (const group of spool.groups()) {
        const name = group[0]?.key.toString('hex') ?? '';
        expect(found.has(name)).toBe(false);
        found.set(
          name,
          group.map((record) => ({
            ...record,
            key: Buffer.from(record.key),
            digest: Buffer.from(record.digest),
          })),
        );
      }
      expect(found).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test('the groups can be asked for again after more was added, and no file ever has a name that could be left behind', () => {
  const dir = mkdtempSync(join(tmpdir(), 'spool-test-'));
  const record = (id: string): AuditRecord => ({
    kind: 'row',
    key: keyOf(id),
    digest: Buffer.alloc(8),
    stream: 0,
    timeUs: null,
    xid: 3,
    ordinal: 0,
    isDue: true,
    isLossy: false,
    id,
  });
  {
    using spool = new Spool({ dir });
    spool.add(record('a'));
    expect([...spool.groups()].map((group) => group.length)).toEqual([1]);
    // More than stays in memory.
    for (let count = 0; count < 2000; count += 1) spool.add(record('a'));
    expect([...spool.groups()].map((group) => group.length)).toEqual([2001]);
    expect(readdirSync(dir)).toEqual([]);
  }
  rmSync(dir, { recursive: true });
});
