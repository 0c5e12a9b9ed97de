import type { RowContext } from '../campaign/row-context.ts';
import { Outbox, type OutboxOptions } from '../support/outbox.ts';
import type { CellServers } from './check.ts';

/** An outbox without a second slot beside it, for checks in which slots are lost. Goes with the check. */
export async function openOutbox(
  context: RowContext,
  { postgres, redis }: CellServers,
  options: Partial<OutboxOptions> = {},
): Promise<Outbox> {
  return context.use(await Outbox.create({ databaseUrl: postgres.url, redisUrl: redis.url, ...options }));
}
