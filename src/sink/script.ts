import { createHash } from 'node:crypto';

/** A script that is called by its hash, once it is loaded. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function scriptOf(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
