import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describeSettings, type SettingRow } from '../../src/config/describe-settings.ts';
import { SETTING_GROUPS } from '../../src/config/settings.ts';

const README = new URL('../../README.md', import.meta.url);
const BEGIN = '<!-- settings:begin -->';
const END = '<!-- settings:end -->';

/** The README with its settings table as the schema has it. Throws if the markers are missing or out of order. */
export function replaceSettings(readme: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`README.md needs ${BEGIN} and, after it, ${END}`);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${settingsTable()}\n\n${readme.slice(end)}`;
}

/** One Markdown table, a bold line for each group. */
export function settingsTable(): string {
  const rows = describeSettings();
  const lines = ['| Environment | In the file | Default | Meaning |', '| --- | --- | --- | --- |'];
  for (const group of SETTING_GROUPS) {
    const name = group === 'http and logs' ? 'HTTP and logs' : group.charAt(0).toUpperCase() + group.slice(1);
    lines.push(`| **${name}** | | | |`);
    lines.push(...rows.filter((row) => row.group === group).map(tableRow));
  }
  return lines.join('\n');
}

function tableRow(row: SettingRow): string {
  const env = row.envFile === undefined ? `\`${row.env}\`` : `\`${row.env}\` or \`${row.envFile}\``;
  const otherwise = row.default === undefined ? 'required' : `\`${row.default}\``;
  const cells = [env, `\`${row.key}\``, otherwise, row.description];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function main(args: readonly string[]): void {
  const current = readFileSync(README, 'utf8');
  const wanted = replaceSettings(current);
  if (current === wanted) return;
  if (args.includes('--check')) {
    console.error('README.md is out of date: run `npm run docs`');
    process.exitCode = 1;
    return;
  }
  writeFileSync(README, wanted);
}

// Imported by a test, it only lends its functions.
const entry = process.argv[1];
if (entry !== undefined && import.meta.url === pathToFileURL(entry).href) main(process.argv.slice(2));
