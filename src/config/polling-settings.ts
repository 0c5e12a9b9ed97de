import { choice, identifier, milliseconds, text, wholeNumber } from './setting-kind.ts';
import { setting } from './setting-registry.ts';
import { isIdentifier } from './table-name.ts';

const HOUR_MS = 3_600_000;

/** The settings of the polling relay. */
export const POLLING_SETTINGS = {
  pollIntervalMs: setting(milliseconds({ min: 1, max: HOUR_MS }), {
    group: 'polling',
    default: '1000',
    description: 'How long `walrelay poll` waits after a claim that found less than it could take.',
  }),
  pollBatchEventsMax: setting(wholeNumber({ min: 1, max: 100_000 }), {
    group: 'polling',
    default: '4096',
    description: 'Rows claimed in one transaction; fewer when they are large.',
  }),
  pollWorkers: setting(wholeNumber({ min: 1, max: 64 }), {
    group: 'polling',
    default: '1',
    description: 'Workers that claim side by side. With more than one, the order between claims is not kept.',
  }),
  pollOrderColumn: setting(identifier(), {
    group: 'polling',
    default: 'created_at',
    description: 'The column in whose order rows are claimed; it should have an index.',
  }),
  pollAfter: setting(choice(['delete', 'mark']), {
    group: 'polling',
    default: 'delete',
    description: 'What becomes of a published row: delete it, or mark it.',
  }),
  pollMarkColumn: setting(identifier(), {
    group: 'polling',
    default: 'published_at',
    description: 'The column that mark sets to now(); NULL means not yet published.',
  }),
  pollListenChannel: setting(
    text('the name of a channel, or off', 'name', (name) => isIdentifier(name)),
    {
      group: 'polling',
      default: 'off',
      description: 'A NOTIFY on this channel wakes `walrelay poll` before its interval is over.',
    },
  ),
};
