/** How much the name of a table says about its being an outbox. */
export function tableNameScore(name: string): { readonly points: number; readonly reason: string | null } {
  const words = name
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1_$2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u);
  const has = (pattern: RegExp) => words.some((word) => pattern.test(word));
  if (has(NO_OUTBOX)) return { points: -30, reason: 'its name is not that of an outbox' };
  if (has(/outbox/)) return { points: 35, reason: 'its name says so' };
  if (has(/^(?:events?|messages?|notifications?)$/))
    return { points: 10, reason: 'its name is that of events or messages' };
  return { points: 0, reason: null };
}

/** What has been received, dealt with or put aside. */
const NO_OUTBOX =
  /^(?:inbox|received|consumed|handled|processed|dead|dlq|archived?|history|audits?|backup|old|logs?|locks?|snapshots?|states?|jobs?)$/;
