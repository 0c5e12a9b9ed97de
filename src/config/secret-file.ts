import { readFileSync } from 'node:fs';
import { WalrelayError } from '../core/walrelay-error.ts';
import { reasonOf } from './config-file.ts';

/** A file, and the setting or parameter that names it. */
export interface NamedFile {
  readonly path: string;
  readonly namedBy: string;
}

/**
 * The text of a password, certificate or key, as it is now. Throws SECRET_UNREADABLE: what is missing or half written may
 * be on its way, so the next session looks again.
 */
export function readNamedFile({ path, namedBy }: NamedFile): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(`${namedBy}: ${path} can't be read (${reasonOf(error)})`);
  }
}

/** Editors and `echo` end a file with a line break that is no part of the secret. */
export function withoutLineEnd(text: string): string {
  return text.replace(/(?:\r?\n)+$/, '');
}

export function unreadable(message: string): WalrelayError {
  return new WalrelayError('SECRET_UNREADABLE', message);
}
