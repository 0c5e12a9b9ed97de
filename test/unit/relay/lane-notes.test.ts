import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import { notesForLane } from '../../../src/relay/lane-notes.ts';
import { relayShape } from '../../../src/relay/relay-shape.ts';
import { thrownCode } from '../thrown-code.ts';

const AT = { commitLsn: parseLsn('0/5000'), ordinal: 2 };

function notesOf(
  lane: Partial<Parameters<typeof notesForLane>[0]>,
  shape: Parameters<typeof notesForLane>[1],
  confirmedLsn = 0x6000n,
) {
  const warned: object[] = [];
  const logger = { warn: (facts: object) => warned.push(facts) };
  const notes = notesForLane({ watermark: AT, ...lane }, shape, {
    confirmedLsn: toLsn(confirmedLsn),
    logger: logger as never,
  });
  return { notes, warned };
}

function formatsOf(yaml: string): string {
  const settings = loadSettings({
    env: { DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://r' },
    flags: {},
    configFile: 'w.yaml',
    readFile: () => yaml,
  });
  return relayShape(settings).formats;
}

test('a format that is not as the lane remembers is told once, with what it was', () => {
  const { notes, warned } = notesOf({}, { routing: '', formats: 'a: debezium' });
  expect(notes).toEqual({ formats: 'a: debezium' });
  expect(warned).toEqual([{ before: 'native', now: 'a: debezium', behind: '0/5000 #2' }]);
  expect(notesOf({ formats: 'a: debezium' }, { routing: '', formats: 'a: debezium' })).toEqual({
    notes: {},
    warned: [],
  });
  expect(notesOf({ formats: 'a: raw' }, { routing: '', formats: '' })).toMatchObject({
    notes: { formats: '' },
    warned: [{ before: 'a: raw', now: 'native' }],
  });
});

test('where nothing was appended yet, a format is noted and nobody is told', () => {
  expect(notesOf({ watermark: ORIGIN }, { routing: '', formats: 'a: raw' })).toEqual({
    notes: { formats: 'a: raw' },
    warned: [],
  });
});

test('a routing that changed under way is refused, whatever the format', () => {
  const shape = { routing: 'a: 5 partitions', formats: 'a: raw' };
  expect(notesOf({ routing: 'a: 4 partitions' }, shape).notes).toEqual(shape);
  expect(thrownCode(() => notesOf({ routing: 'a: 4 partitions' }, shape, 0x5000n))).toBe('ROUTING_CHANGED');
});

test('what is remembered are the formats of each outbox and its routes; nothing where all are native', () => {
  expect(formatsOf('table: a\nroutes: [{ when: { type: x }, drop: true }]')).toBe('');
  expect(
    formatsOf(
      'outboxes: [{ table: b, format: debezium, routes: [{ when: { type: x }, format: raw }, { when: { type: y } }] }, { table: a }]',
    ),
  ).toBe('public.b: raw, debezium');
});
