import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  intendedOffsetsUs,
  LOADER,
  type LoadPlan,
  placeOfEvent,
  WATCHED_STREAMS_MAX,
} from '../../../src/bench/load-plan.ts';
import { seededRandom, shuffled } from '../../../src/bench/seeded-random.ts';

function offsets(
  arrivals: LoadPlan['arrivals'],
  seconds: number,
  rowsPerTransaction = 1,
  seed = 1,
): number[] {
  return [...intendedOffsetsUs({ arrivals, rowsPerTransaction }, seconds, seededRandom(seed))];
}

describe('intended send times', () => {
  test('of a steady rate are as many as the rate says, ascending, within the time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(),
        (rate, seconds, seed) => {
          const times = offsets({ kind: 'steady', ratePerSecond: rate }, seconds, 1, seed);
          expect(times.length).toBe(rate * seconds);
          expect(times).toEqual([...times].sort((a, b) => a - b));
          expect(times.every((time) => time >= 0 && time < seconds * 1e6)).toBe(true);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('of a steady rate are in no step: their distances differ', () => {
    const times = offsets({ kind: 'steady', ratePerSecond: 100 }, 1);
    const distances = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(new Set(distances).size).toBeGreaterThan(50);
  });

  test('are the same for the same seed, and others for another', () => {
    const arrivals = { kind: 'steady', ratePerSecond: 500 } as const;
    expect(offsets(arrivals, 2, 1, 7)).toEqual(offsets(arrivals, 2, 1, 7));
    expect(offsets(arrivals, 2, 1, 7)).not.toEqual(offsets(arrivals, 2, 1, 8));
  });

  test('with pauses keep to their bounds', () => {
    const times = offsets({ kind: 'pauses', minMs: 20, maxMs: 180 }, 20);
    const pauses = times.map((time, index) => time - (times[index - 1] ?? 0));
    expect(pauses.every((pause) => pause >= 20_000 && pause <= 180_000)).toBe(true);
    expect(times.length).toBeGreaterThan(100);
  });

  test('of a burst are one moment for all of its transactions', () => {
    const times = offsets({ kind: 'bursts', events: 500, everyMs: 1000 }, 3, 100);
    expect(times).toEqual([0, 0, 0, 0, 0, 1e6, 1e6, 1e6, 1e6, 1e6, 2e6, 2e6, 2e6, 2e6, 2e6]);
  });
});

describe('the place of an event', () => {
  const plan = fc.record({
    aggregatesPerProducer: fc.integer({ min: 1, max: 100 }),
    streams: fc.integer({ min: 1, max: 12_000 }),
  });

  test('is a stream that there is, and one stream for each aggregate', () => {
    fc.assert(
      fc.property(plan, fc.constantFrom(0, 1, 7, LOADER), (spread, producer) => {
        const streamOfAggregate = new Map<number, number>();
        for (let number = 0; number < 500; number += 1) {
          const { aggregate, stream } = placeOfEvent(spread, producer, number);
          expect(stream).toBeGreaterThanOrEqual(0);
          expect(stream).toBeLessThan(spread.streams);
          expect(streamOfAggregate.get(aggregate) ?? stream).toBe(stream);
          streamOfAggregate.set(aggregate, stream);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('of very many streams is a watched one for a fifth of the events', () => {
    const spread = { aggregatesPerProducer: 25, streams: 10_000 };
    const watched = Array.from({ length: 1000 }, (_, number) => placeOfEvent(spread, 2, number)).filter(
      ({ stream }) => stream < WATCHED_STREAMS_MAX,
    );
    expect(watched.length).toBe(200);
  });

  test('of a backlog is every stream in turn', () => {
    const spread = { aggregatesPerProducer: 25, streams: 10_000 };
    const streams = Array.from(
      { length: 20_000 },
      (_, number) => placeOfEvent(spread, LOADER, number).stream,
    );
    expect(new Set(streams).size).toBe(10_000);
  });
});

test('a shuffle keeps everybody, and a seed repeats it', () => {
  const items = ['a', 'b', 'c', 'd', 'e', 'f'];
  const once = shuffled(items, seededRandom(3));
  expect([...once].sort()).toEqual(items);
  expect(shuffled(items, seededRandom(3))).toEqual(once);
  expect(items).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});
