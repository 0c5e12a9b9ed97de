import { expect, test } from 'vitest';
import { Alarm } from '../../../src/core/alarm.ts';

const HOUR_MS = 3_600_000;

test('a ring ends the sleep', async () => {
  const alarm = new Alarm();
  const sleeping = alarm.sleep(HOUR_MS);
  expect(alarm.isSleeping).toBe(true);
  alarm.ring();
  expect(await sleeping).toBe(true);
  expect(alarm.isSleeping).toBe(false);
});

test('a ring while nobody sleeps ends the next sleep, and only that one', async () => {
  const alarm = new Alarm();
  alarm.ring();
  alarm.ring();
  expect(await alarm.sleep(HOUR_MS)).toBe(true);
  expect(await alarm.sleep(1)).toBe(false);
});
