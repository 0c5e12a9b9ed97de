/**
 * Which of `count` partitions a key belongs to: always the same one, in every version of Walrelay, so that the events of an
 * aggregate stay in one stream. FNV-1a (32 bits) over the key's bytes, its bits mixed as MurmurHash3 ends, modulo the count.
 * docs/mapping.md has it in words, with examples to check another implementation by.
 */
export function partitionOf(bytes: Buffer, start: number, length: number, count: number): number {
  let hash = 0x811c9dc5;
  for (let index = start; index < start + length; index += 1) {
    hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) % count;
}
