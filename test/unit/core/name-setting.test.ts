import { expect, test } from 'vitest';
import { assignSetting, nameSetting } from '../../../src/core/name-setting.ts';
import { describeSettings } from '../../../src/config/describe-settings.ts';
import { OUTBOX_KEYS } from '../../../src/config/settings.ts';

const LISTED = { place: { file: 'w.yaml', item: 'outboxes[1]' } };

test.each(OUTBOX_KEYS)('%s of the one outbox is named as the variable that it is', (key) => {
  const row = describeSettings().find((one) => one.key === key);
  expect(nameSetting({ place: null }, key)).toBe(row?.env);
});

test('of an outbox in a list it is named by its place in the file, and so is a route', () => {
  expect(nameSetting(LISTED, 'columnTime')).toBe('outboxes[1].columnTime in w.yaml');
  expect(nameSetting(LISTED, 'routes[2].stream')).toBe('outboxes[1].routes[2].stream in w.yaml');
  expect(nameSetting({ place: null }, 'routes[2].stream')).toBe('routes[2].stream in the configuration file');
});

test('with a value it can be typed as it stands, or found', () => {
  expect(assignSetting({ place: null }, 'table', 's.x')).toBe(`WALRELAY_TABLE='s.x'`);
  expect(assignSetting(LISTED, 'table', 's.x')).toBe(`outboxes[1].table in w.yaml to 's.x'`);
});
