import { stringify } from 'yaml';
import { loadSettings } from '../config/load-settings.ts';
import { findPreset } from '../config/presets.ts';
import type { Settings } from '../config/settings.ts';
import type { Proposal, ProposedSettings } from './propose.ts';

export interface FileNotes {
  readonly database: string;
  /** Of the relay rather than of the outbox: slot, publication. */
  readonly further: ProposedSettings;
}

/** The configuration file of a proposal. What a preset says stands there as comments, so that it can be seen and changed. */
export function proposedFile(proposal: Proposal, { database, further }: FileNotes): string {
  const { settings, preset: presetName } = proposal;
  const lines = [
    `# Written by walrelay init --detect for the database ${JSON.stringify(database)}.`,
    '# The servers are those of DATABASE_URL and REDIS_URL. What else can be said here: docs/mapping.md.',
    yaml({ ...further, ...settings }),
  ];
  const preset = presetName === null ? undefined : findPreset(presetName);
  const implied = Object.entries(preset?.defaults ?? {}).filter(([key]) => !Object.hasOwn(settings, key));
  if (implied.length > 0) {
    lines.push(`# The preset says (docs/presets.md), unless it is said here:`);
    const text = yaml(Object.fromEntries(implied));
    lines.push(text.replaceAll(/^/gm, '# '));
  }
  return `${lines.join('\n')}\n`;
}

/** What a relay makes of the file. Only the mapping counts: it is read without the servers. */
export function settingsOfFile(text: string): Settings {
  return loadSettings({
    env: { DATABASE_URL: 'postgres://localhost/postgres', REDIS_URL: 'redis://localhost' },
    flags: {},
    configFile: 'the proposed file',
    readFile: () => text,
  });
}

function yaml(values: ProposedSettings): string {
  return stringify(values, { lineWidth: 0 }).trimEnd();
}
