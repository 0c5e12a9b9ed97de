import { inject } from 'vitest';
import { Outbox, type OutboxOptions } from './outbox.ts';

/** An outbox on the servers that all test files share. */
export function createOutbox(options: Partial<OutboxOptions> = {}): Promise<Outbox> {
  return Outbox.create({ databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl'), ...options });
}
