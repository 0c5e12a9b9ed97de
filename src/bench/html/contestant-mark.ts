import type { BenchReport, ContestantFacts } from '../bench-report.ts';
import { type Html, html } from './html-template.ts';
import { type ContestantStyle, contestantStyles, FLOOR_STYLE } from './page/contestant-style.js';

/** A piece of the contestant's line in the charts, in front of its name. */
export function contestantMark(report: BenchReport, contestant: ContestantFacts): Html {
  return lineMark(contestantStyles(report.contestants).get(contestant.id) ?? FLOOR_STYLE);
}

export function lineMark({ color, dash, width }: ContestantStyle): Html {
  return html`<svg class="mark" style="color: var(${color})" viewBox="0 0 26 8" aria-hidden="true"><line x1="1" x2="25" y1="4" y2="4" stroke="currentColor" stroke-width="${Math.max(2, width)}" stroke-dasharray="${dash.join(' ')}"/></svg>`;
}
