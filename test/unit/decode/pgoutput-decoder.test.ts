import { describe, expect, test } from 'vitest';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { thrownCode } from '../thrown-code.ts';
import { CollectedEvents } from './collected-events.ts';
import { begin, commit, insert, NAMES, OID, relation, type TupleValue, uint32 } from './pgoutput-messages.ts';

const ROW = ['1', 'made', 'order', 'o-1', '{}'];

function inTransaction(columns: readonly string[] = NAMES): CollectedEvents {
  return new CollectedEvents(NAMES).decode(begin(100n)).decode(relation(columns));
}

/** The code that a message is refused with; the handler must not have heard of it. */
function refusal(collected: CollectedEvents, message: Buffer): string | null {
  const code = thrownCode(() => collected.decode(message));
  return collected.callCount === 0 ? code : 'the handler was called';
}

describe('a transaction', () => {
  test('is handed on as begin, inserts and commit, with its positions and its time', () => {
    const collected = new CollectedEvents(NAMES)
      .decode(begin(100n, -5n))
      .decode(relation())
      .decode(insert(ROW))
      .decode(insert(['2', '', null, 'ü', 'x']))
      .decode(commit(100n, 150n));
    expect(collected.transactions).toEqual([
      { commitLsn: 100n, committedAtUs: -5n, endLsn: 150n, events: [ROW, ['2', '', null, 'ü', 'x']] },
    ]);
  });

  test('is open between Begin and Commit', () => {
    const collected = new CollectedEvents(NAMES);
    expect(collected.decoder.isInTransaction).toBe(false);
    collected.decode(begin(100n));
    expect(collected.decoder.isInTransaction).toBe(true);
    collected.decode(commit(100n, 101n));
    expect(collected.decoder.isInTransaction).toBe(false);
  });

  test('may begin where the one before it ended', () => {
    const collected = inTransaction().decode(commit(100n, 150n)).decode(begin(150n));
    expect(collected.transactions.at(-1)!.commitLsn).toBe(150n);
  });

  test('may have the highest LSN there is', () => {
    const collected = new CollectedEvents(NAMES).decode(begin(2n ** 64n - 2n));
    collected.decode(commit(2n ** 64n - 2n, 2n ** 64n - 1n));
    expect(collected.transactions[0]!.endLsn).toBe(2n ** 64n - 1n);
  });

  test('that begins below the one before it is refused', () => {
    expect(refusal(inTransaction().decode(commit(100n, 150n)), begin(99n))).toBe('PG_PROTOCOL');
  });

  test('that begins at the commit LSN of the one before it is refused', () => {
    expect(refusal(inTransaction().decode(commit(100n, 150n)), begin(100n))).toBe('PG_PROTOCOL');
  });

  test('at LSN 0/0 is refused', () => {
    expect(refusal(new CollectedEvents(NAMES), begin(0n))).toBe('PG_PROTOCOL');
  });

  test('inside of a transaction is refused', () => {
    expect(refusal(inTransaction(), begin(200n))).toBe('PG_PROTOCOL');
  });

  test('whose Commit names another LSN than its Begin is refused', () => {
    expect(refusal(inTransaction(), commit(101n, 150n))).toBe('PG_PROTOCOL');
    expect(refusal(inTransaction(), commit(99n, 150n))).toBe('PG_PROTOCOL');
  });

  test('whose Commit does not end behind its commit LSN is refused', () => {
    expect(refusal(inTransaction(), commit(100n, 100n))).toBe('PG_PROTOCOL');
    expect(refusal(inTransaction(), commit(100n, 99n))).toBe('PG_PROTOCOL');
  });

  test('whose Commit has flags, of which the protocol has none, is refused', () => {
    expect(refusal(inTransaction(), commit(100n, 150n, 1))).toBe('PG_PROTOCOL');
  });

  test('that is committed twice is refused', () => {
    expect(refusal(inTransaction().decode(commit(100n, 150n)), commit(100n, 150n))).toBe('PG_PROTOCOL');
  });
});

describe('outside of a transaction', () => {
  test.each([
    ['an insert', insert(ROW)],
    ['a commit', commit(100n, 150n)],
    ['an update', Buffer.from('U')],
    ['a delete', Buffer.from('D')],
    ['a truncate', Buffer.from('T')],
  ])('%s is refused', (_name, message) => {
    expect(refusal(new CollectedEvents(NAMES), message)).toBe('PG_PROTOCOL');
    expect(refusal(inTransaction().decode(commit(100n, 150n)), message)).toBe('PG_PROTOCOL');
  });
});

describe('a message', () => {
  test('of an unknown kind is refused, whatever the byte', () => {
    const known = new Set(Array.from('BCRIUDTYO').map((kind) => kind.charCodeAt(0)));
    const unknown = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !known.has(byte));
    for (const byte of unknown) {
      expect(refusal(inTransaction(), Buffer.from([byte, 0, 0, 0, 0, 0, 0, 0]))).toBe('PG_PROTOCOL');
    }
  });

  test('of protocol 2 (a streamed transaction) or of two-phase commit is refused', () => {
    for (const kind of Array.from('SEcAbPKrp'))
      expect(refusal(inTransaction(), Buffer.concat([Buffer.from(kind), uint32(1)]))).toBe('PG_PROTOCOL');
  });

  test('without a byte is refused', () => {
    expect(refusal(inTransaction(), Buffer.alloc(0))).toBe('PG_PROTOCOL');
  });

  test('that is cut short, at any byte, is refused before the handler hears of it', () => {
    const messages = [begin(200n), relation(), insert(ROW), commit(100n, 150n)];
    for (const message of messages) {
      for (let length = 0; length < message.length; length += 1) {
        const collected = message[0] === 0x42 ? new CollectedEvents(NAMES) : inTransaction();
        expect(refusal(collected, message.subarray(0, length))).toBe('PG_PROTOCOL');
      }
    }
  });

  test('with bytes left over is refused', () => {
    const extra = Buffer.from([0]);
    expect(refusal(new CollectedEvents(NAMES), Buffer.concat([begin(1n), extra]))).toBe('PG_PROTOCOL');
    for (const message of [relation(), insert(ROW), commit(100n, 150n)]) {
      expect(refusal(inTransaction(), Buffer.concat([message, extra]))).toBe('PG_PROTOCOL');
    }
  });
});

describe('an insert', () => {
  test('with an unchanged TOAST value is refused: it says nothing of the value', () => {
    for (let slot = 0; slot < ROW.length; slot += 1) {
      const row: TupleValue[] = [...ROW];
      row[slot] = { kind: 'u' };
      expect(refusal(inTransaction(), insert(row))).toBe('PG_PROTOCOL');
    }
  });

  test('with an unchanged TOAST value in a column that nobody reads is refused as well', () => {
    expect(refusal(inTransaction([...NAMES, 'more']), insert([...ROW, { kind: 'u' }]))).toBe('PG_PROTOCOL');
  });

  test('with a binary value is refused: binary was not asked for', () => {
    const row: TupleValue[] = [...ROW];
    row[4] = { kind: 'b', bytes: Buffer.from('x') };
    expect(refusal(inTransaction(), insert(row))).toBe('PG_PROTOCOL');
  });

  test('into a relation that was never announced is refused', () => {
    expect(refusal(inTransaction(), insert(ROW, { oid: OID + 1 }))).toBe('PG_PROTOCOL');
  });

  test('with an old tuple instead of a new one is refused', () => {
    for (const kind of ['O', 'K', '\0'])
      expect(refusal(inTransaction(), insert(ROW, { kind }))).toBe('PG_PROTOCOL');
  });

  test('with more or fewer columns than its relation is refused', () => {
    expect(refusal(inTransaction(), insert(ROW.slice(1)))).toBe('PG_PROTOCOL');
    expect(refusal(inTransaction(), insert([...ROW, 'x']))).toBe('PG_PROTOCOL');
    expect(refusal(inTransaction(), insert([]))).toBe('PG_PROTOCOL');
  });

  test.each([0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 3])(
    'whose last value claims %i bytes is refused',
    (length) => {
      const message = insert(ROW);
      message.writeUInt32BE(length, message.length - 2 - 4);
      expect(refusal(inTransaction(), message)).toBe('PG_PROTOCOL');
    },
  );

  test('with a value that claims the bytes of its neighbours is refused', () => {
    const message = insert(ROW);
    message.writeUInt32BE(2, 9); // the id: one byte
    expect(refusal(inTransaction(), message)).toBe('PG_PROTOCOL');
  });

  test('into another table is no event', () => {
    const collected = new CollectedEvents(NAMES, (announced) => announced.table === 'outbox')
      .decode(begin(100n))
      .decode(relation(['x'], { oid: 5, table: 'other' }))
      .decode(relation())
      .decode(insert(['y'], { oid: 5 }))
      .decode(insert(ROW))
      .decode(insert(['y'], { oid: 5 }))
      .decode(insert(ROW));
    expect(collected.transactions[0]!.events).toEqual([ROW, ROW]);
  });

  test('into a table with a high OID is read', () => {
    const collected = new CollectedEvents(NAMES)
      .decode(begin(100n))
      .decode(relation(NAMES, { oid: 0xffff_ffff }))
      .decode(insert(ROW, { oid: 0xffff_ffff }));
    expect(collected.transactions[0]!.events).toEqual([ROW]);
  });

  test('leaves no value of the row before it behind', () => {
    const collected = inTransaction()
      .decode(insert(ROW))
      .decode(insert([null, null, null, null, null]));
    expect(collected.transactions[0]!.events[1]).toEqual([null, null, null, null, null]);
  });
});

describe('a relation', () => {
  test('that is announced anew has its new columns from there on', () => {
    const collected = inTransaction()
      .decode(insert(ROW))
      .decode(relation(['more', ...NAMES.toReversed()]))
      .decode(insert(['x', ...ROW.toReversed()]));
    expect(collected.transactions[0]!.events).toEqual([ROW, ROW]);
  });

  test('that is announced anew under another name is no outbox any more', () => {
    const collected = new CollectedEvents(NAMES, ({ table }) => table === 'outbox')
      .decode(begin(100n))
      .decode(relation())
      .decode(insert(ROW))
      .decode(relation(NAMES, { table: 'renamed' }))
      .decode(insert(ROW));
    expect(collected.transactions[0]!.events).toHaveLength(1);
  });

  test('in the empty schema is one of pg_catalog', () => {
    const schemas: string[] = [];
    const collected = new CollectedEvents(NAMES, ({ schema }) => schemas.push(schema) > 0);
    collected.decode(relation(NAMES, { schema: '' }));
    expect(schemas).toEqual(['pg_catalog']);
  });

  test('without a column that is mapped is refused, with the name of the column', () => {
    const collected = new CollectedEvents(NAMES);
    const drop = () => collected.decode(relation(NAMES.filter((name) => name !== 'payload')));
    expect(drop).toThrow(WalrelayError);
    expect(drop).toThrow(/no column payload; it sends: id, type, aggregatetype, aggregateid$/);
    expect(thrownCode(drop)).toBe('COLUMN_MISSING');
  });

  test('of another table may have any columns', () => {
    const collected = new CollectedEvents(NAMES, () => false);
    expect(thrownCode(() => collected.decode(relation(['x'])))).toBeNull();
  });

  test('whose strings have no end within the message is refused, whatever stands behind it', () => {
    const message = relation();
    const cut = message.indexOf(Buffer.from('payload')) + 3;
    expect(refusal(new CollectedEvents(NAMES), message.subarray(0, cut))).toBe('PG_PROTOCOL');
    expect(thrownCode(() => new CollectedEvents(NAMES).decode(message, 0, cut))).toBe('PG_PROTOCOL');
  });
});
