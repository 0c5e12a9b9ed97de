/**
 * Markup in which data can't become markup: `` html`<b>${name}</b>` `` escapes the name. Contestants' names, reasons and
 * settings come from databases and other people's programs.
 */
export class Html {
  readonly source: string;

  private constructor(source: string) {
    this.source = source;
  }

  /** For text that is markup already: our own scripts and styles. Never for data. */
  static trusted(source: string): Html {
    return new Html(source);
  }
}

/** Nothing, false and empty text leave no trace; a list is written out one after the other. */
export type HtmlValue = Html | string | number | false | undefined | readonly HtmlValue[];

export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.trusted(
    strings.reduce((source, string, index) => source + markup(values[index - 1]) + string, ''),
  );
}

function markup(value: HtmlValue): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.source;
  if (typeof value === 'object') return value.map(markup).join('');
  return escapeHtml(String(value));
}

/** Safe as text and in a quoted attribute. */
function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
