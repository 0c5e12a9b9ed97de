import { expect, test } from 'vitest';
import { DurabilityWait } from '../../../src/sink/durability-wait.ts';
import { replyError } from '../../../src/sink/redis-reply.ts';

async function codeOf(reply: string): Promise<unknown> {
  const redis = { command: () => Promise.reject(replyError(reply, 'WAITAOF')) };
  const wait = new DurabilityWait({ level: 'fsync' }, 1000, () => {});
  return wait.probe(redis).catch((error: { readonly code?: unknown }) => error.code);
}

test.each([
  ["ERR unknown command 'WAITAOF', with args beginning with: '0' '0' '1' ", 'REDIS_DURABILITY'],
  ['ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.', 'REDIS_DURABILITY'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'REDIS_AUTH'],
  ['NOAUTH Authentication required.', 'REDIS_AUTH'],
  ["NOPERM User relay has no permissions to run the 'waitaof' command", 'REDIS_PRIVILEGE'],
  ['READONLY You can’t write against a read only replica.', 'REDIS_NOT_PRIMARY'],
])('a probe for fsync that is answered with %s ends with %s', async (reply, code) => {
  expect(await codeOf(reply)).toBe(code);
});
