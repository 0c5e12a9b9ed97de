import { PgoutputPlugin } from 'pg-logical-replication';
import { describe, expect, test } from 'vitest';
import { parseLsn } from '../../../src/core/lsn.ts';
import type { Relation } from '../../../src/decode/outbox-columns.ts';
import {
  KEEPALIVE,
  loadRecording,
  pgoutputMessages,
  RECORDED_MAJORS,
  type Recording,
  type RecordedTable,
  shorten,
} from '../recording.ts';
import { CollectedEvents } from './collected-events.ts';

describe.each(RECORDED_MAJORS)('what PostgreSQL %i sent', (major) => {
  const recording = loadRecording(major);
  const messages = pgoutputMessages(recording);

  test('was recorded from that version', () => {
    expect(Number.parseInt(recording.postgres, 10)).toBe(major);
  });

  test('holds every kind of message of the protocol, and keepalives between them', () => {
    const kinds = new Set(messages.map((message) => String.fromCharCode(message[0]!)));
    expect([...kinds].sort().join('')).toBe('BCDIORTUY');
    expect(recording.frames.some((frame) => frame[0] === KEEPALIVE && frame.length === 18)).toBe(true);
  });

  test.each(Object.keys(recording.tables))(
    'gives exactly the committed rows of the table %s, in order',
    (key) => {
      const table = recording.tables[key]!;
      const collected = new CollectedEvents(table.columns, isTable(table));
      for (const message of messages) collected.decode(message);
      const decoded = collected.transactions
        .filter(({ events }) => events.length > 0)
        .map(({ events }) => events.map((values) => values.map(shorten)));
      const committed = recording.transactions
        .map(({ rows }) => rows.filter((row) => row.table === key).map((row) => row.values))
        .filter((rows) => rows.length > 0);
      expect(decoded).toEqual(committed);
    },
  );

  test('gives the rows of several outboxes in the order of their transaction', () => {
    const { plain, json, text, bytea } = recording.tables;
    const tables = [plain!, json!, text!, bytea!];
    const collected = new CollectedEvents(plain!.columns, (relation) =>
      tables.some((table) => isTable(table)(relation)),
    );
    for (const message of messages) collected.decode(message);
    const decoded = collected.transactions
      .filter(({ events }) => events.length > 0)
      .map(({ events }) => events.map((values) => values.map(shorten)));
    const committed = recording.transactions
      .map(({ rows }) => rows.filter((row) => row.table !== 'quoted').map((row) => row.values))
      .filter((rows) => rows.length > 0);
    expect(decoded).toEqual(committed);
  });

  test('places every transaction where Begin and Commit say, in the order of the xids that committed', () => {
    const collected = decodePlain(recording, messages);
    const begins = messages.filter((message) => message[0] === BEGIN);
    const commits = messages.filter((message) => message[0] === COMMIT);
    expect(collected.transactions.map(({ commitLsn }) => commitLsn)).toEqual(
      begins.map((message) => message.readBigUInt64BE(1)),
    );
    expect(collected.transactions.map(({ endLsn }) => endLsn)).toEqual(
      commits.map((message) => message.readBigUInt64BE(10)),
    );
    const xidByCommitLsn = new Map(
      begins.map((message) => [message.readBigUInt64BE(1), message.readUInt32BE(17)]),
    );
    const withRows = collected.transactions.filter(({ events }) => events.length > 0);
    const expected = recording.transactions.filter(({ rows }) => rows.some((row) => row.table === 'plain'));
    expect(withRows.map(({ commitLsn }) => xidByCommitLsn.get(commitLsn))).toEqual(
      expected.map(({ xid }) => xid),
    );
  });

  test('has transactions whose end is the commit LSN of the next: plus one would lose that one', () => {
    const { transactions } = decodePlain(recording, messages);
    const neighbours = transactions.filter(
      ({ commitLsn }, index) => index > 0 && transactions[index - 1]!.endLsn === commitLsn,
    );
    expect(neighbours.length).toBeGreaterThan(0);
    for (const { commitLsn, endLsn } of transactions) expect(endLsn!).toBeGreaterThan(commitLsn);
  });

  test('never has a keepalive outside of a transaction behind a commit that is still to come', () => {
    const { decoder } = new CollectedEvents(recording.tables['plain']!.columns, () => false);
    const overtaken: Buffer[] = [];
    let walEnd = 0n;
    for (const frame of recording.frames) {
      if (frame[0] === KEEPALIVE) {
        if (!decoder.isInTransaction && frame.readBigUInt64BE(1) > walEnd) walEnd = frame.readBigUInt64BE(1);
        continue;
      }
      decoder.decode(frame, 25, frame.length);
      if (frame[25] === BEGIN && frame.readBigUInt64BE(26) < walEnd) overtaken.push(frame);
    }
    expect(walEnd).toBeGreaterThan(0n);
    expect(overtaken).toEqual([]);
  });

  test.each(Object.keys(recording.tables))(
    'is read the same by pg-logical-replication, the table %s',
    (key) => {
      const table = recording.tables[key]!;
      const collected = new CollectedEvents(table.columns, isTable(table));
      for (const message of messages) collected.decode(message);
      const ours = collected.transactions.map(({ commitLsn, endLsn, committedAtUs, events }) => ({
        commitLsn,
        endLsn,
        committedAtUs,
        events,
      }));
      expect(ours).toEqual(readByOracle(messages, table));
    },
  );
});

function decodePlain(recording: Recording, messages: readonly Buffer[]): CollectedEvents {
  const table = recording.tables['plain']!;
  const collected = new CollectedEvents(table.columns, isTable(table));
  for (const message of messages) collected.decode(message);
  return collected;
}

function isTable(table: RecordedTable): (relation: Relation) => boolean {
  return (relation) => relation.schema === table.schema && relation.table === table.table;
}

const BEGIN = 0x42;
const COMMIT = 0x43;
const POSTGRES_EPOCH_US = 946_684_800_000_000n;

/** The oracle turns values into JavaScript objects; its own column parsers are replaced by the identity. */
function readByOracle(messages: readonly Buffer[], table: RecordedTable): unknown[] {
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: ['p'] });
  const transactions: {
    commitLsn: bigint;
    endLsn: bigint | null;
    committedAtUs: bigint;
    events: unknown[];
  }[] = [];
  for (const bytes of messages) {
    const message = plugin.parse(bytes);
    switch (message.tag) {
      case 'relation':
        for (const column of message.columns) column.parser = (raw: unknown) => raw;
        break;
      case 'begin':
        transactions.push({
          commitLsn: parseLsn(message.commitLsn!),
          endLsn: null,
          committedAtUs: (message.commitTime as bigint) - POSTGRES_EPOCH_US,
          events: [],
        });
        break;
      case 'insert': {
        const { relation, new: row } = message;
        if (relation.schema !== table.schema || relation.name !== table.table) break;
        transactions.at(-1)!.events.push(table.columns.map((column) => row[column] as unknown));
        break;
      }
      case 'commit':
        transactions.at(-1)!.commitLsn = parseLsn(message.commitLsn!);
        transactions.at(-1)!.endLsn = parseLsn(message.commitEndLsn!);
        break;
      default:
        break;
    }
  }
  return transactions;
}
