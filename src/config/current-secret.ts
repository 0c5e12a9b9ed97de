import { readNamedFile, unreadable, withoutLineEnd } from './secret-file.ts';
import { type SecretKey, type Settings, settingShape } from './settings.ts';

/**
 * A secret as it is now: what was given as a file is read from it again by whoever opens a connection, so that a rotated
 * password counts from the next session on. What was given as a value stays what it was. Throws SECRET_UNREADABLE, never
 * with the value.
 */
export function currentSecret(settings: Settings, key: SecretKey): string {
  const file = settings.secretFiles[key];
  if (file === undefined) return settings[key];
  const secret = withoutLineEnd(readNamedFile(file));
  const fault = settingShape[key].safeParse(secret).error?.issues[0]?.message;
  if (fault !== undefined) throw unreadable(`${file.namedBy} (${file.path}) doesn't hold ${fault}`);
  return secret;
}
