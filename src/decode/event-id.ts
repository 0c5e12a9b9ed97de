/** The event's id as it stands in entries: its columns, with a colon between them. Null when one of them is NULL. */
export function eventIdOf(
  slots: readonly number[],
  bytes: Buffer,
  starts: Int32Array,
  lengths: Int32Array,
): string | null {
  const parts: string[] = [];
  for (const slot of slots) {
    const start = starts[slot] as number;
    const length = lengths[slot] as number;
    if (length < 0) return null;
    parts.push(bytes.toString('utf8', start, start + length));
  }
  return parts.join(':');
}
