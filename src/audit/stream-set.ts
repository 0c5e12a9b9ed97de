import { findNameFault, type ReservedNames } from '../route/stream-router.ts';
import type { StreamTemplate } from '../route/stream-template.ts';
import { escapeGlob, StreamReader } from '../sink/stream-reader.ts';
import type { RedisByKey } from './redis-by-key.ts';

/** The streams of an audit, by number: names are long and records are many. */
export class StreamSet {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#names.push(name) - 1;
    this.#numbers.set(name, number);
    return number;
  }

  nameOf(number: number): string {
    return this.#names[number] ?? '(no stream)';
  }

  get names(): readonly string[] {
    return this.#names;
  }
}

/** Adds the streams that stand in Redis under names that a template can give: also those whose rows are all deleted. */
export async function findStreams(
  redis: RedisByKey,
  templates: readonly StreamTemplate[],
  streams: StreamSet,
  reserved: ReservedNames,
): Promise<void> {
  for (const template of templates) {
    if (template.placeholders.length === 0) {
      streams.numberOf(template.text);
      continue;
    }
    const pattern = template.literals.map(escapeGlob).join('*');
    for (const connection of redis.all()) {
      for await (const name of new StreamReader(connection).names(pattern)) {
        if (findNameFault(name, reserved) === null) streams.numberOf(name);
      }
    }
  }
}
