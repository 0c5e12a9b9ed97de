import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const PAGE = readFileSync('docs/formats.md', 'utf8');
const EXAMPLES = [...PAGE.matchAll(/```json ([\w.-]+)\n([\s\S]*?)\n```/g)].map(([, name, text]) => ({
  name: name as string,
  text: text as string,
}));

test('docs/formats.md has an example of each format', () => {
  expect(EXAMPLES.map(({ name }) => name)).toEqual([
    'native',
    'cloudevents-structured',
    'cloudevents-binary',
    'debezium.string',
    'debezium-compact.string',
    'raw',
  ]);
});

test.each(EXAMPLES)(
  'the example of $name is its golden entry, in the order of its fields',
  ({ name, text }) => {
    const [{ relayed }] = JSON.parse(readFileSync(`test/fixtures/formats/${name}.json`, 'utf8')) as [
      { relayed: Record<string, string> },
    ];
    // The structured one shows what is in its field.
    const golden = name === 'cloudevents-structured' ? JSON.parse(relayed['data'] as string) : relayed;
    expect(JSON.stringify(JSON.parse(text))).toBe(JSON.stringify(golden));
  },
);
