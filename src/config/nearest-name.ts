/**
 * The known name that a mistyped one most likely meant, or undefined. Case, separators and the WALRELAY prefix don't
 * count, nor does the order of words: `WALRELAY_BATCH_MAX_EVENTS` finds `WALRELAY_BATCH_EVENTS_MAX`.
 */
export function nearestName(wrong: string, known: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let nearestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = distanceBetween(wordsOf(wrong), wordsOf(candidate));
    if (distance < nearestDistance) {
      nearest = candidate;
      nearestDistance = distance;
    }
  }
  const tolerance = Math.max(1, Math.floor(wordsOf(wrong).join('').length / 3));
  return nearestDistance <= tolerance ? nearest : undefined;
}

function wordsOf(name: string): string[] {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.filter((word) => word !== '' && word !== 'walrelay');
}

function distanceBetween(a: string[], b: string[]): number {
  const asWritten = editDistance(a.join(''), b.join(''));
  // One more than the plain distance: the same order of words is the better match.
  const inAnyOrder = 1 + editDistance(a.toSorted().join(''), b.toSorted().join(''));
  return Math.min(asWritten, inAnyOrder);
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substituted = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const inserted = (current[column - 1] ?? 0) + 1;
      const deleted = (previous[column] ?? 0) + 1;
      current.push(Math.min(substituted, inserted, deleted));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
