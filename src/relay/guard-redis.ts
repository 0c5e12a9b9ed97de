import { redisExpectations } from '../config/redis-expectations.ts';
import type { Settings } from '../config/settings.ts';
import type { Logger } from '../ops/logger.ts';
import { throwFirst } from '../ops/throw-first.ts';
import type { DurabilityWait } from '../sink/durability-wait.ts';
import type { RedisNodes } from '../sink/redis-nodes.ts';
import { findRedisProblems, findRedisWarnings, readRedisFacts } from '../sink/redis-preflight.ts';

/** Throws the first reason why one of the nodes is not to be trusted with streams; warns of the rest. */
export async function guardRedis(
  redis: RedisNodes,
  options: {
    readonly settings: Settings;
    readonly durability: DurabilityWait;
    readonly logger: Logger;
    warnOnce(warning: string): void;
  },
): Promise<void> {
  const { settings, durability, logger } = options;
  for (const node of redis.writers) {
    const facts = await readRedisFacts(node);
    throwFirst(findRedisProblems(facts, redisExpectations(settings)), logger);
    for (const warning of findRedisWarnings(facts, settings.durability)) options.warnOnce(warning);
    await durability.probe(node);
  }
}
