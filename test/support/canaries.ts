import { randomBytes } from 'node:crypto';
import type { CliResult } from './cli.ts';

/**
 * Words that must stand in no line that Walrelay writes. Each is looked for as it is, percent-encoded, as JSON writes it,
 * in base64 and in hex; and by its core, in case that only a part is written.
 */
export class Canaries {
  readonly #cores: string[] = [];
  #lines = 0;

  /** With what URLs, JSON and regular expressions stumble over. */
  secret(what: string): string {
    return `${this.plain(what)}/@:%?&="\\ é`;
  }

  plain(what: string): string {
    const core = `CANARY${what}${randomBytes(6).toString('hex')}`;
    this.#cores.push(core);
    return core;
  }

  /** How many lines were looked at. */
  get lines(): number {
    return this.#lines;
  }

  check(doing: string, { stdout, stderr }: Pick<CliResult, 'stdout' | 'stderr'>): void {
    for (const line of `${stdout}\n${stderr}`.split('\n')) {
      this.#lines += line === '' ? 0 : 1;
      const found = this.#cores.find((core) => formsOf(core).some((form) => line.includes(form)));
      if (found !== undefined) throw new Error(`${doing}: ${found.slice(0, 12)}… is written: ${line}`);
    }
  }
}

function formsOf(core: string): string[] {
  const bytes = Buffer.from(core);
  // In base64 a word looks different at each of three offsets; its middle does not.
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .slice(4, -4),
  );
  return [core, core.toLowerCase(), bytes.toString('hex'), ...base64];
}
