import { describe, expect, test } from 'vitest';
import {
  countersBetween,
  type DatabaseCounters,
  databaseCost,
} from '../../../src/bench/database-counters.ts';

const ZERO: DatabaseCounters = {
  transactions: 0,
  statements: undefined,
  buffersHit: 0,
  buffersRead: 0,
  walBytes: 0,
  deadTuples: 0,
};

describe('the cost to the database', () => {
  test('is the run less the same load without a relay', () => {
    const run = countersBetween(
      { ...ZERO, transactions: 100, walBytes: 1000 },
      { ...ZERO, transactions: 700, walBytes: 9000, deadTuples: 50 },
    );
    const cost = databaseCost(run, { ...ZERO, transactions: 500, walBytes: 5000 }, 10);
    expect(cost).toMatchObject({
      transactions: 100,
      transactionsPerSecond: 10,
      walBytes: 3000,
      deadTuples: 50,
    });
  });

  test('is never below nothing', () => {
    expect(databaseCost({ ...ZERO, buffersHit: 3 }, { ...ZERO, buffersHit: 5 }, 1).buffersHit).toBe(0);
  });

  test('counts queries where the server does, else transactions', () => {
    expect(
      databaseCost({ ...ZERO, transactions: 20, statements: 60 }, { ...ZERO, statements: 10 }, 10),
    ).toMatchObject({
      transactionsPerSecond: 2,
      queriesPerSecond: 5,
    });
    expect(databaseCost({ ...ZERO, transactions: 20 }, undefined, 10)).toMatchObject({ queriesPerSecond: 2 });
  });
});
