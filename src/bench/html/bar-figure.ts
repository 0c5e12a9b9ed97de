import { type Html, html } from './html-template.ts';

/** Bars from zero, drawn by the style sheet: they need no script, print as they are, and each carries its figure. */
export interface BarFigure {
  readonly title: string;
  readonly note: string;
  readonly bars: readonly Bar[];
  /** What a full bar means, to compare several figures; the longest of its own bars when absent. */
  readonly full?: number;
}

export interface Bar {
  readonly name: string;
  /** A CSS variable. */
  readonly color: string;
  readonly value: number;
  readonly text: string;
  /** Something to compare with, and no contestant. */
  readonly isReference?: boolean;
}

export function barFigure({ title, note, bars, full }: BarFigure): Html {
  const longest = full ?? bars.reduce((most, { value }) => Math.max(most, value), 0);
  return html`<figure class="bars"><figcaption><b>${title}</b> <span>${note}</span></figcaption>
<dl>${bars.map(
    (
      bar,
    ) => html`<div class="${bar.isReference === true ? 'bar reference' : 'bar'}"><dt>${bar.name}</dt><dd><i style="width: ${share(bar.value, longest)}%; color: var(${bar.color})"></i><span>${bar.text}</span></dd></div>
`,
  )}</dl></figure>`;
}

/** Below zero (the run cost less than the same load without a relay, by chance) there is no bar, only the figure. */
function share(value: number, longest: number): string {
  return longest > 0 ? ((100 * Math.max(0, value)) / longest).toFixed(2) : '0';
}
