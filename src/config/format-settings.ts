import { DEBEZIUM_CONVERTERS, ENTRY_FORMATS } from '../core/outbox-mapping.ts';
import { choice, text } from './setting-kind.ts';
import { setting } from './setting-registry.ts';

/** What entries look like; each outbox has these for itself. docs/formats.md explains them. */
export const formatSettings = {
  format: setting(choice(ENTRY_FORMATS), {
    group: 'outbox',
    default: 'native',
    description: `What an entry looks like: ${ENTRY_FORMATS.join(', ')}.`,
  }),
  cloudEventsSource: setting(
    text(
      'a URI reference (RFC 3986), or auto',
      'uri',
      (source) => source === 'auto' || URI_REFERENCE.test(source),
    ),
    {
      group: 'outbox',
      default: 'auto',
      description:
        'The source of its CloudEvents, a URI reference; auto: a slash and the name of the outbox.',
    },
  ),
  debeziumConverter: setting(choice(DEBEZIUM_CONVERTERS), {
    group: 'outbox',
    default: 'string',
    description:
      'How Debezium Server rendered keys, values and headers: string (as they are), json (in quotes), expanded-json ' +
      '(in quotes, but a JSON payload as it is).',
  }),
  rawField: setting(
    text('a field name of 1 to 256 characters without controls', 'field', (name) =>
      /^\P{Cc}{1,256}$/u.test(name),
    ),
    {
      group: 'outbox',
      default: 'payload',
      description: 'The one field of a raw entry.',
    },
  ),
};

export const FORMAT_KEYS = ['format', 'cloudEventsSource', 'debeziumConverter', 'rawField'] as const;

const URI_REFERENCE = /^(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[\da-fA-F]{2})+$/;
