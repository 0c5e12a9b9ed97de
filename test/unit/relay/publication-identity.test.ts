import { expect, test } from 'vitest';
import { describeIdentityChange } from '../../../src/relay/publication-identity.ts';

const BEFORE = 'publication 16390:740 table 16385 member 16391:740 schema';

test.each([
  ['', 'the publication is gone'],
  ['publication 17000:800 table 16385 member 17001:800 schema', 'the publication was dropped and made again'],
  ['publication 16390:741 table 16385 member 16391:740 schema', 'the publication was altered'],
  ['publication 16390:740 table 16385 member schema', 'the table was taken out of the publication'],
  [
    'publication 16390:740 table 16385 member 16399:800 schema',
    'taken out of the publication and added again',
  ],
  ['publication 16390:740 table 16500 member 16391:740 schema', 'the table is not the one of before'],
  ['publication 16390:740 table 16385 member 16391:740 schema 16402:750', 'the schema was added'],
  [`${BEFORE} ancestor 16403:751`, 'the table that this one is a partition of'],
])('a change to %s is told as %s', (now, text) => {
  expect(describeIdentityChange(BEFORE, now)).toContain(text);
});

const TWO = 'publication 1:7 table 10 member 11:7 table 20 member 21:7';

test.each([
  [TWO.replace('member 21:7', 'member'), 'the table with the OID 20 was taken out of the publication'],
  [`${TWO} table 30 member 31:9`, 'new among the outboxes: the tables with the OIDs 30'],
  ['publication 1:7 table 10 member 11:7', 'no longer among the outboxes: the tables with the OIDs 20'],
  [TWO.replace('1:7', '1:8'), 'the publication was altered'],
])('of several tables, a change to %s is told as %s', (now, text) => {
  const told = describeIdentityChange(TWO, now);
  expect(told).toContain(text);
  expect(told.split(';')).toHaveLength(1);
  expect(describeIdentityChange(TWO, TWO)).toBe('');
});

test.each([
  [`${BEFORE} messages a,b`, 'new among the outboxes: messages with the prefix b'],
  [BEFORE, 'no longer among the outboxes: messages with the prefix a'],
  ['publication 16390:740 messages a', 'no longer among the outboxes: the tables with the OIDs 16385'],
])('of messages, a change to %s is told as %s', (now, text) => {
  const before = `${BEFORE} messages a`;
  const told = describeIdentityChange(before, now);
  expect(told).toBe(text);
  expect(describeIdentityChange(now, now)).toBe('');
});

test('a first table beside messages is told as new', () => {
  expect(
    describeIdentityChange('publication 1:7 messages table', 'publication 1:7 table 10 messages table'),
  ).toBe('new among the outboxes: the tables with the OIDs 10');
});

test('what did not change is not told', () => {
  expect(describeIdentityChange(BEFORE, BEFORE)).toBe('');
  expect(describeIdentityChange(BEFORE, BEFORE.replace('16390:740', '16390:741'))).not.toContain('the table');
});
