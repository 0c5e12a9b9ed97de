/**
 * Which of a cluster's 16,384 hash slots a key belongs to. Our own: the usual package takes `{}{a}` for a tagged key,
 * which Redis does not. https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
 */
export function hashSlot(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(hashTag(key), 'utf8')) {
    crc = ((crc << 8) ^ (CRC16_TABLE[((crc >> 8) ^ byte) & 0xff] as number)) & 0xffff;
  }
  return crc & (HASH_SLOTS - 1);
}

/** What of a key is hashed: between the first `{` and the `}` that follows it, or all of it when that is nothing. */
export function hashTag(key: string): string {
  const open = key.indexOf('{');
  const close = open === -1 ? -1 : key.indexOf('}', open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key;
}

const HASH_SLOTS = 16_384;

/** CRC-16/XMODEM: polynomial 0x1021, no reflection. */
const CRC16_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});
