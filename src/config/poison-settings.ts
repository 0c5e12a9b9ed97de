import { choice, milliseconds, text, wholeNumber } from './setting-kind.ts';
import { dependentSetting, setting } from './setting-registry.ts';

const DAY_MS = 86_400_000;

/** The settings about events that can't pass. */
export const POISON_SETTINGS = {
  poison: setting(choice(['halt', 'dead-letter']), {
    group: 'outbox',
    default: 'halt',
    description:
      'What `run` does about an event that can’t pass: stop in front of it, or put it into the dead-letter stream and go on.',
  }),
  deadLetterStream: dependentSetting(
    text('a Redis key', 'key', (key) => key !== ''),
    {
      group: 'outbox',
      default: '<metaKey>:dead-letters',
      description: 'The stream of the dead letters. On a cluster each lane has its own: <key>:{<tag>}.',
    },
  ),
  deadLettersMax: setting(wholeNumber({ min: 1, max: 10_000 }), {
    group: 'limits',
    default: '100',
    description:
      'Dead letters within deadLetterWindowMs; the relay stops in front of the next: a wrong mapping must not drain the ' +
      'outbox into them.',
  }),
  deadLetterWindowMs: setting(milliseconds({ min: 1000, max: DAY_MS }), {
    group: 'timing',
    default: '60000',
    description: 'The time within which deadLettersMax counts.',
  }),
};
