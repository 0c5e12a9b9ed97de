/*
 * One colour and one dash for each contestant, the same in every chart, table and theme. The colours stand in
 * theme.css (`--series-0` …); they were chosen to stay apart under protanopia, deuteranopia and tritanopia, and the
 * dashes tell lines apart where colours don't.
 */

/** @typedef {import('../../bench-report.ts').ContestantFacts} ContestantFacts */

/**
 * @typedef {object} ContestantStyle
 * @property {string} color the CSS variable that holds it
 * @property {readonly number[]} dash lengths of stroke and gap in pixels; none: an unbroken line
 * @property {number} width of its lines in pixels
 */

/** @type {Readonly<Record<string, number>>} */
const SLOTS = {
  walrelay: 0,
  'poll-1000': 1,
  'poll-100': 2,
  'poll-10': 3,
  notify: 4,
  naive: 5,
  debezium: 6,
  'debezium-tuned': 7,
  'pg-transactional-outbox': 8,
};

/** @type {readonly (readonly number[])[]} */
const DASHES = [[], [10, 4], [6, 3], [], [12, 3, 3, 3], [2, 2], [8, 3, 2, 3], [5, 2], [3, 4]];

/** @type {ContestantStyle} */
export const FLOOR_STYLE = { color: '--series-floor', dash: [2, 4], width: 2 };

/**
 * @param {readonly ContestantFacts[]} contestants
 * @returns {ReadonlyMap<string, ContestantStyle>} by id; one that is not known takes what no other has
 */
export function contestantStyles(contestants) {
  const taken = new Set(contestants.map(({ id }) => SLOTS[id]));
  const spare = DASHES.map((_, slot) => slot).filter((slot) => !taken.has(slot));
  /** @type {Map<string, ContestantStyle>} */
  const styles = new Map();
  for (const { id, kind } of contestants) {
    if (kind === 'floor') styles.set(id, FLOOR_STYLE);
    else styles.set(id, slotStyle(SLOTS[id] ?? spare.shift() ?? styles.size % DASHES.length));
  }
  return styles;
}

/**
 * @param {number} slot
 * @returns {ContestantStyle}
 */
function slotStyle(slot) {
  return { color: `--series-${slot}`, dash: DASHES[slot] ?? [], width: slot === 0 ? 3 : 1.75 };
}
