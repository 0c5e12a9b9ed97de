import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describeSettings, type SettingRow } from '../../src/config/describe-settings.ts';
import { SETTING_GROUPS } from '../../src/config/setting-registry.ts';
import { REPLY_SAFETY_TABLES } from './reply-safety/tables.ts';

const README = new URL('../../README.md', import.meta.url);
const REPLY_SAFETY = new URL('../../docs/reply-safety.md', import.meta.url);

/** The README with its settings table as the schema has it. Throws if the markers are missing or out of order. */
export function replaceSettings(readme: string): string {
  return replaceBetween('settings', readme, settingsTable());
}

/** docs/reply-safety.md with its tables as the tests go by them. */
export function replaceReplySafety(page: string): string {
  return Object.entries(REPLY_SAFETY_TABLES).reduce(
    (text, [name, render]) => replaceBetween(name, text, render()),
    page,
  );
}

function replaceBetween(name: string, page: string, content: string): string {
  const [before, after] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const begin = page.indexOf(before);
  const end = page.indexOf(after);
  if (begin === -1 || end < begin) throw new Error(`the page needs ${before} and, after it, ${after}`);
  return `${page.slice(0, begin + before.length)}\n\n${content}\n\n${page.slice(end)}`;
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
  bringUpToDate('README.md', README, replaceSettings, args);
  bringUpToDate('docs/reply-safety.md', REPLY_SAFETY, replaceReplySafety, args);
}

function bringUpToDate(
  name: string,
  place: URL,
  replace: (page: string) => string,
  args: readonly string[],
): void {
  const current = readFileSync(place, 'utf8');
  const wanted = replace(current);
  if (current === wanted) return;
  if (args.includes('--check')) {
    console.error(`${name} is out of date: run \`npm run docs\``);
    process.exitCode = 1;
    return;
  }
  writeFileSync(place, wanted);
}

// Imported by a test, it only lends its functions.
const entry = process.argv[1];
if (entry !== undefined && import.meta.url === pathToFileURL(entry).href) main(process.argv.slice(2));
