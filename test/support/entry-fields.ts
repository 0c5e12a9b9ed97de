import type { Outbox } from './outbox.ts';

/** The entries of a stream, each as its fields. */
export async function entryFields(
  { redis }: Pick<Outbox, 'redis'>,
  stream: string,
): Promise<Record<string, string>[]> {
  const entries = await redis.xrange(stream, '-', '+');
  return entries.map(([, list]) =>
    Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? '']] : []))),
  );
}
