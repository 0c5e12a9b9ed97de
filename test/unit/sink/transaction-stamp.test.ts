import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatLsn, toLsn } from '../../../src/core/lsn.ts';
import { TransactionStamp } from '../../../src/sink/transaction-stamp.ts';

test('the LSN is rendered as Postgres writes it, whatever was rendered before', () => {
  const stamp = new TransactionStamp();
  const near = (value: bigint) => fc.bigInt({ min: value - 20n, max: value + 20n });
  const lsn = fc.oneof(
    fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    near(0x1_0000_0000n),
    near(0x10_0000n),
    fc.bigInt({ min: 0n, max: 20n }),
  );
  fc.assert(
    fc.property(lsn, (value) => {
      stamp.set(toLsn(value), 0n);
      expect(stamp.lsnText.toString('latin1', 0, stamp.lsnLength)).toBe(formatLsn(toLsn(value)));
    }),
    { numRuns: 500 },
  );
});
