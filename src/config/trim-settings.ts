import { choice, countOrOff, milliseconds, millisecondsOrOff, names } from './setting-kind.ts';
import { dependentSetting, setting } from './setting-registry.ts';

const HOUR_MS = 3_600_000;
const YEAR_MS = 366 * 24 * HOUR_MS;

/** Of a stream: for all of them, or for those of an outbox or a route. */
export const TRIM_LENGTH = countOrOff({ min: 1, max: 1_000_000_000_000 });

/** The settings of the trimming. */
export const TRIM_SETTINGS = {
  trim: setting(choice(['none', 'safe', 'even-unread']), {
    group: 'trimming',
    default: 'none',
    description:
      'What `run` removes from the streams, of what is beyond the length or the age: nothing, what every consumer group ' +
      'has acknowledged, or everything, even what nobody has read.',
  }),
  trimMaxLength: setting(TRIM_LENGTH, {
    group: 'trimming',
    default: 'off',
    description: 'Entries that a stream keeps; older ones may go. In the file also for an outbox or a route.',
  }),
  trimMaxAgeMs: dependentSetting(millisecondsOrOff({ min: 0, max: YEAR_MS }), {
    group: 'trimming',
    default: 'off',
    description:
      'How long a stream keeps an entry; older ones may go. Unset, with safe and without a length, an hour: `audit` and ' +
      '`recover` compare with what is kept.',
  }),
  trimIgnoredGroups: setting(names(), {
    group: 'trimming',
    default: 'none',
    description:
      'Consumer groups that nobody reads any more: what they have not acknowledged is trimmed too.',
  }),
  trimIntervalMs: setting(milliseconds({ min: 100, max: 24 * HOUR_MS }), {
    group: 'trimming',
    default: '60000',
    description: 'How often the streams are trimmed.',
  }),
  trimHeldUpWarnMs: setting(milliseconds({ min: 1000, max: YEAR_MS }), {
    group: 'trimming',
    default: '3600000',
    description: 'The relay warns of a consumer group that holds up the trimming for longer than this.',
  }),
};

/**
 * How old entries may become in a stream of that length. `recover` judges by the oldest entry of a stream: what is safe to
 * remove is not all that should go at once.
 */
export function trimAgeMs(
  { trim, trimMaxAgeMs }: { readonly trim: string; readonly trimMaxAgeMs?: number | 'off' | undefined },
  lengthMax: number | 'off',
): number | 'off' {
  return trimMaxAgeMs ?? (trim === 'safe' && lengthMax === 'off' ? HOUR_MS : 'off');
}
