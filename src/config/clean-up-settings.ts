import { choice, milliseconds, wholeNumber } from './setting-kind.ts';
import { setting } from './setting-registry.ts';

const DAY_MS = 24 * 3_600_000;

/** The settings of the clean-up of the table. */
export const CLEAN_UP_SETTINGS = {
  cleanup: setting(choice(['none', 'delete', 'partitions']), {
    group: 'clean-up',
    default: 'none',
    description:
      'What becomes of confirmed rows after the retention: none, delete, or drop daily partitions.',
  }),
  cleanupRetentionMs: setting(milliseconds({ min: 0, max: 3660 * DAY_MS }), {
    group: 'clean-up',
    default: String(7 * DAY_MS),
    description: 'How long a row stays at least; a row that is not confirmed stays whatever its age.',
  }),
  cleanupOlderRows: setting(choice(['keep', 'delete']), {
    group: 'clean-up',
    default: 'keep',
    description: 'Rows from before the clean-up was switched on, or before a new epoch: were they relayed?',
  }),
  cleanupIntervalMs: setting(milliseconds({ min: 100, max: DAY_MS }), {
    group: 'clean-up',
    default: '10000',
    description: 'How often the clean-up looks for something to do.',
  }),
  cleanupBatchRowsMax: setting(wholeNumber({ min: 1, max: 100_000 }), {
    group: 'clean-up',
    default: '1000',
    description: 'Rows in one DELETE.',
  }),
  cleanupRowsPerSecondMax: setting(wholeNumber({ min: 1, max: 10_000_000 }), {
    group: 'clean-up',
    default: '5000',
    description: 'How many rows the clean-up deletes a second.',
  }),
  cleanupPartitionsAhead: setting(wholeNumber({ min: 1, max: 366 }), {
    group: 'clean-up',
    default: '3',
    description: 'For how many days after today there is a partition ahead of time.',
  }),
};
