import { parseDocument } from 'yaml';
import { nearestName } from './nearest-name.ts';

export interface ConfigFile {
  readonly path: string;
  /** Whatever stands in the file, by its key; null (`slot:` with nothing after it) counts as absent. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly problems: readonly string[];
  /** False: what the file would have set is unknown. */
  readonly isRead: boolean;
}

export const NO_CONFIG_FILE: ConfigFile = { path: '', values: new Map(), problems: [], isRead: true };

interface ConfigFileSource {
  readonly path: string;
  /** What named the path: a flag or a variable. */
  readonly namedBy: string;
  readonly knownKeys: readonly string[];
  readonly readFile: (path: string) => string;
}

/** Reads the YAML file: one flat map from setting keys to scalars. Reports, never throws, never quotes the file. */
export function readConfigFile({ path, namedBy, knownKeys, readFile }: ConfigFileSource): ConfigFile {
  const failed = (problem: string): ConfigFile => ({
    path,
    values: new Map(),
    problems: [problem],
    isRead: false,
  });

  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    return failed(
      `${namedBy}: ${path} can't be read (${reasonOf(error)}); expected a YAML file with settings`,
    );
  }

  const parsed = parseYaml(text);
  if (parsed.fault !== undefined) return failed(`${path}: not valid YAML, ${parsed.fault}`);
  const { content } = parsed;
  if (content === null) return NO_CONFIG_FILE;
  if (!(content instanceof Map)) return failed(`${path}: expected lines like "slot: walrelay"`);

  const values = new Map<string, unknown>();
  const problems: string[] = [];
  for (const [key, value] of content) {
    const name = String(key);
    if (!knownKeys.includes(name)) {
      const nearest = nearestName(name, knownKeys);
      // A line that lost its key shows its value here, so only what looks like a key is repeated.
      const shown = /^[\w.-]{1,64}$/.test(name) ? `${name}: ` : '';
      problems.push(
        `${path}: ${shown}unknown key${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
      );
    } else if (value !== null) {
      values.set(name, value);
    }
  }
  return { path, values, problems, isRead: true };
}

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

/** The content of the file (maps as Map), or the code and place of its first fault. */
function parseYaml(text: string): { content: unknown; fault?: undefined } | { fault: string } {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) {
    // The code and the place, not the message: that may quote the source, which may hold a password.
    const at = error.linePos?.[0];
    return { fault: `${at === undefined ? '' : `line ${at.line}, column ${at.col}: `}${error.code}` };
  }
  try {
    return { content: document.toJS({ mapAsMap: true }) as unknown };
  } catch {
    return { fault: "an alias can't be resolved" };
  }
}
