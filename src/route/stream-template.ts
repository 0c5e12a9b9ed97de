import { WalrelayError } from '../core/walrelay-error.ts';

/** A stream name with holes: `outbox.${aggregatetype}`. */
export interface StreamTemplate {
  readonly text: string;
  /** Literal pieces around the holes: always one more than there are holes. */
  readonly literals: readonly string[];
  /** What stands in the holes: a role or a column name, in order. */
  readonly placeholders: readonly string[];
}

/** Throws CONFIG_INVALID for an empty template, an unclosed or an empty placeholder. */
export function parseStreamTemplate(text: string): StreamTemplate {
  const literals: string[] = [];
  const placeholders: string[] = [];
  let rest = text;
  for (;;) {
    const open = rest.indexOf('${');
    if (open === -1) break;
    const close = rest.indexOf('}', open);
    const name = close === -1 ? '' : rest.slice(open + 2, close);
    if (name.trim() === '') {
      throw new WalrelayError(
        'CONFIG_INVALID',
        `the stream ${JSON.stringify(text)} has a placeholder without a name or an end`,
      );
    }
    literals.push(rest.slice(0, open));
    placeholders.push(name.trim());
    rest = rest.slice(close + 1);
  }
  literals.push(rest);
  if (text.trim() === '') throw new WalrelayError('CONFIG_INVALID', 'a stream is empty');
  return { text, literals, placeholders };
}
