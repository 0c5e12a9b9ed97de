import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PRESET_NAMES } from '../../../src/config/presets.ts';
import { formatTableName } from '../../../src/config/table-name.ts';
import { settingsOfFile } from '../../../src/detect/proposed-file.ts';

const PAGE = readFileSync('docs/presets.md', 'utf8');
const ROWS = [...PAGE.matchAll(/^\| `([\w-]+)` \|(.*)\|$/gm)].map(([, name = '', cells = '']) => ({
  name,
  cells: cells.split('|').map((cell) => cell.replaceAll('`', '').trim()),
}));

test('docs/presets.md has a row for each preset', () => {
  expect(ROWS.map(({ name }) => name)).toEqual(PRESET_NAMES);
});

test.each(ROWS)('the row of $name says what its settings are', ({ name, cells }) => {
  const [outbox] = settingsOfFile(`preset: ${name}\n`).outboxes;
  const { table, columnId, columnType, columnAggregateType, columnAggregateId, columnPayload, stream } =
    outbox!;
  const aggregate = [columnAggregateType ?? '', columnAggregateId ?? ''];
  const [shownTable, id, type, shownAggregate, payload, , shownStream] = cells;
  expect({ shownTable, id, type, shownAggregate, payload, shownStream }).toEqual({
    shownTable: formatTableName(table!).replace(/^public\./, ''),
    id: columnId.join(', '),
    type: columnType ?? '',
    shownAggregate: aggregate.join('') === '' ? '' : aggregate.join(', '),
    payload: columnPayload ?? '',
    shownStream: stream,
  });
});

test('of each preset it is told what it is and where it comes from', () => {
  const sections = PAGE.slice(PAGE.indexOf('## What each is')).split(/^### /m);
  for (const name of PRESET_NAMES.filter((one) => one !== 'walrelay'))
    expect(sections.some((text) => text.split('\n')[0]?.split(', ').includes(name))).toBe(true);
});
