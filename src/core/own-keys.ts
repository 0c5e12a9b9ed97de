/** Keys of Walrelay's own in Redis, beside the streams: those that begin with the meta key, and the dead letters'. */

/** A hash: the names of streams that were made from data. */
export function namesKey(metaKey: string): string {
  return `${metaKey}:names`;
}

/** A set: the streams that are trimmed. */
export function registerKey(metaKey: string): string {
  return `${metaKey}:streams`;
}

/** On a cluster: what stands beside the streams of a hash tag, in their slot. `base`: the meta key, or the dead letters'. */
export function taggedKey(base: string, tag: string): string {
  return `${base}:{${tag}}`;
}

/** Whether a key is the base or the base's part for some hash tag. */
export function isKeyOf(base: string, key: string): boolean {
  return key === base || key.startsWith(`${base}:{`);
}
