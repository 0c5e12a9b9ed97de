/** Keys of Walrelay's own in Redis, beside the streams: all begin with the meta key, which holds the lane state. */

/** A hash: the names of streams that were made from data. */
export function namesKey(metaKey: string): string {
  return `${metaKey}:names`;
}

/** A set: the streams that are trimmed. */
export function registerKey(metaKey: string): string {
  return `${metaKey}:streams`;
}

/** On a cluster: what stands beside the streams of a hash tag, in their slot. */
export function taggedKey(base: string, tag: string): string {
  return `${base}:{${tag}}`;
}

/** Whether a key is the base or the base's part for some hash tag. */
export function isKeyOf(base: string, key: string): boolean {
  return key === base || key.startsWith(`${base}:{`);
}
