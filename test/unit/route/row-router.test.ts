import { describe, expect, test } from 'vitest';
import { compileOutbox } from '../../../src/route/outbox.ts';
import { NATIVE_OUTBOX } from '../../support/native-outbox.ts';
import { RowRouter } from '../../../src/route/row-router.ts';
import { thrownCode } from '../thrown-code.ts';

const COLUMNS = compileOutbox(
  { ...NATIVE_OUTBOX.mapping, stream: '${aggregatetype}.${region}.${aggregatetype}' },
  { metaKey: 'walrelay:shop', deadLetterStream: 'dead' },
);
const ROW = ['ignored', 'e-1', 'created', 'größe', 'a', '{}', 'eu'];

describe('the stream of a row', () => {
  test('is made of the values at their places, however many rows came before', () => {
    const router = new RowRouter(COLUMNS, (slot) => slot + 1);
    expect(router.route(ROW)).toBe('größe.eu.größe');
    expect(router.route(['', '', '', 'x'.repeat(100), '', '', 'y'.repeat(50)])).toHaveLength(252);
    expect(router.route(ROW)).toBe('größe.eu.größe');
  });

  test('is the same where the values came as hex', () => {
    const raw = ROW.map((value) => Buffer.from(value).toString('hex'));
    expect(new RowRouter(COLUMNS, (slot) => slot + 1, { isRaw: true }).route(raw)).toBe('größe.eu.größe');
  });

  test('is none where a value is NULL or no name comes of it: an error, or a word for whoever asks', () => {
    const router = new RowRouter(COLUMNS, (slot) => slot + 1);
    const withoutRegion = [...ROW.slice(0, 6), null];
    expect(thrownCode(() => router.route(withoutRegion))).toBe('EVENT_NO_ROUTE');
    expect(router.find(withoutRegion)).toBe('none');
    // Longer than the room that the router begins with.
    expect(router.find([...ROW.slice(0, 6), 'x'.repeat(5000)])).toBe('none');
    expect(router.find(ROW)).toEqual({ stream: 'größe.eu.größe' });
  });
});
