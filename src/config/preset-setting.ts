import { PRESET_NAMES } from './presets.ts';
import { presetOrNone } from './setting-kind.ts';
import { setting } from './setting-registry.ts';

/** Each outbox may have one of its own. docs/presets.md tells of them. */
export const PRESET_SETTING = {
  preset: setting(presetOrNone(), {
    group: 'outbox',
    default: 'none',
    description: `Whose table the outbox is: the defaults of its columns, fields, routes and stream. ${PRESET_NAMES.join(', ')}, or none.`,
  }),
};
