import { describe, expect, test } from 'vitest';
import { MessageOutbox } from '../../../src/decode/message-outbox.ts';
import { compilePlan, type TuplePlan } from '../../../src/decode/outbox-columns.ts';
import {
  type MessageSource,
  PgoutputDecoder,
  type StrayMessage,
} from '../../../src/decode/pgoutput-decoder.ts';
import { thrownCode } from '../thrown-code.ts';
import { begin, commit, insert, message, relation } from './pgoutput-messages.ts';

/** Two outboxes of messages, `events` and `e`, and a table; what happens, as lines. */
class Run {
  readonly lines: string[] = [];
  readonly stray: StrayMessage[] = [];
  readonly decoder: PgoutputDecoder;

  constructor({ hasMessages = true } = {}) {
    const names = ['id', 'payload'];
    const outboxOf = (prefix: string, outbox: number) =>
      new MessageOutbox({ outbox, name: prefix, prefix, names, idSlots: [0], presentSlots: [] });
    const source: MessageSource = {
      outboxes: [outboxOf('events', 1), outboxOf('e', 2)],
      malformed: (_, bytes, start, length, { outbox }) =>
        this.lines.push(`${outbox} malformed ${bytes.toString('utf8', start, start + length)}`),
      notTransactional: (stray) => this.stray.push(stray),
    };
    this.decoder = new PgoutputDecoder(
      {
        slotCount: 2,
        planOf: (found) => compilePlan({ outbox: 0, name: 'table', names, binarySlots: [] }, found),
      },
      {
        begin: () => this.lines.push('begin'),
        insert: (bytes, starts, lengths, plan: TuplePlan) => {
          const values = [0, 1].map((slot) =>
            bytes.toString('utf8', starts[slot], starts[slot]! + lengths[slot]!),
          );
          this.lines.push([plan.outbox, ...values, plan.kinds[1]].join(' '));
        },
        commit: () => this.lines.push('commit'),
      },
      hasMessages ? source : null,
    );
  }

  /** Each in the middle of a frame. */
  decode(...messages: readonly Buffer[]): this {
    for (const each of messages) {
      const frame = Buffer.concat([Buffer.from('xyz'), each, Buffer.from('xyz')]);
      this.decoder.decode(frame, 3, 3 + each.length);
    }
    return this;
  }
}

describe('a transactional message', () => {
  test('of an outbox is an event like an insert, in its place among them', () => {
    const run = new Run().decode(
      begin(100n),
      relation(['id', 'payload']),
      insert(['r1', '{}']),
      message('{"id":"m\\u0031","payload":{ }}'),
      message('{"id":7,"payload":"text"}', { prefix: 'e' }),
      insert(['r2', '{}']),
      commit(100n, 150n),
    );
    expect(run.lines).toEqual([
      'begin',
      '0 r1 {} text',
      '1 m1 { } json',
      '2 7 text text',
      '0 r2 {} text',
      'commit',
    ]);
  });

  test.each(['event', 'events2', 'EVENTS', '', 'é', 'x'.repeat(1000)])(
    'of another prefix is none, whatever is in it: %j',
    (prefix) => {
      const run = new Run().decode(begin(100n), message('{"id":"1"', { prefix }), commit(100n, 150n));
      expect(run.lines).toEqual(['begin', 'commit']);
      expect(run.stray).toEqual([]);
    },
  );

  test('that can’t be read is handed on whole', () => {
    const run = new Run().decode(
      begin(100n),
      message('{"id":"\\u0031","payload":}'),
      message('', { prefix: 'e' }),
    );
    expect(run.lines).toEqual(['begin', '1 malformed {"id":"\\u0031","payload":}', '2 malformed ']);
  });

  test('outside of a transaction is refused', () => {
    expect(thrownCode(() => new Run().decode(message('{"id":"1"}')))).toBe('PG_PROTOCOL');
  });

  test.each([9, 11])(
    'whose content does not fill its frame is refused: 10 bytes that call themselves %i',
    (length) => {
      const run = new Run().decode(begin(100n));
      expect(thrownCode(() => run.decode(message('{"id":"1"}', { length })))).toBe('PG_PROTOCOL');
      expect(run.lines).toEqual(['begin']);
    },
  );

  test.each([1, 5, 9])('that ends after %i bytes is refused', (length) => {
    const run = new Run().decode(begin(100n));
    expect(thrownCode(() => run.decode(message('{"id":"1"}').subarray(0, length)))).toBe('PG_PROTOCOL');
  });
});

test('a message without a transaction is no event, and is told of when its prefix is ours', () => {
  const run = new Run().decode(
    message('{"id":"1"}', { flags: 0, lsn: 95n }),
    message('{"id":"1"}', { flags: 0, prefix: 'other' }),
  );
  expect(run.lines).toEqual([]);
  expect(run.stray).toMatchObject([
    { lsn: 95n, contentBytes: 10, outbox: { prefix: Buffer.from('events') } },
  ]);
  expect(run.decoder.isInTransaction).toBe(false);
});

test('a message that nobody asked for is refused', () => {
  const run = new Run({ hasMessages: false });
  expect(thrownCode(() => run.decode(message('{"id":"1"}', { flags: 0 })))).toBe('PG_PROTOCOL');
});
