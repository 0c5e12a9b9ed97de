import { WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import { DurabilityWait } from '../sink/durability-wait.ts';

/** Waits until what was written is durable: at the level that is set, and on the disk where Redis can tell. */
export async function keepEntries(
  { settings, nodes }: Pick<Ground, 'settings' | 'nodes'>,
  step: (text: string) => void,
): Promise<void> {
  const { durability, redisTimeoutMs } = settings;
  const wait = new DurabilityWait(durability, redisTimeoutMs, step);
  for (const node of nodes.writers) {
    await wait.wait(node);
    if (durability.level === 'fsync') continue;
    try {
      await node.command('waiting for the disk', 'WAITAOF', 1, 0, Math.min(2000, redisTimeoutMs / 2));
    } catch (error) {
      // Before Redis 7.2, or without an append-only file, or without the right: there is nothing to wait for.
      if (error instanceof WalrelayError && error.disposition === 'retry') throw error;
    }
  }
}
