/*
 * Names each line where it ends, so that nobody has to carry colours between a legend and a chart. Labels that would
 * lie on one another are moved apart; where there is no room at the right the legend alone has to do.
 */

const LINE_PX = 16;
const SWATCH_PX = 24;
const GAP_PX = 6;
const ROOM_FOR_LABELS_PX = 720;
const FONT_PX = 12;

/**
 * @param {import('./line-chart.js').Series[]} series
 * @param {number} chartWidth
 * @param {import('./chart-theme.js').ChartTheme} theme
 * @returns {number} pixels to keep free at the right
 */
export function endLabelsWidth(series, chartWidth, theme) {
  const context = document.createElement('canvas').getContext('2d');
  if (context === null || chartWidth < ROOM_FOR_LABELS_PX) return 0;
  context.font = `${FONT_PX}px ${theme.font}`;
  const widest = Math.max(0, ...series.map(({ name }) => context.measureText(name).width));
  return Math.ceil(widest) + SWATCH_PX + 2 * GAP_PX;
}

/**
 * @param {import('./line-chart.js').Series[]} series in the order of the chart's datasets
 * @param {import('./chart-theme.js').ChartTheme} theme
 * @returns {import('chart.js').Plugin<'line'>}
 */
export function endLabels(series, theme) {
  return {
    id: 'endLabels',
    afterDatasetsDraw(chart) {
      if (endLabelsWidth(series, chart.width, theme) === 0) return;
      const { ctx, chartArea } = chart;
      const labels = chart
        .getSortedVisibleDatasetMetas()
        .flatMap((meta) => {
          const end = meta.data.at(-1);
          const of = series[meta.index];
          return end === undefined || of === undefined ? [] : [{ of, x: end.x, y: end.y }];
        })
        // Lines that end at the same height: the one that came there first stands first.
        .sort((a, b) => a.y - b.y || a.x - b.x);
      moveApart(labels, chartArea.top, chartArea.bottom);
      ctx.save();
      ctx.font = `${FONT_PX}px ${theme.font}`;
      ctx.textBaseline = 'middle';
      for (const { of, y } of labels) {
        const x = chartArea.right + GAP_PX;
        ctx.strokeStyle = of.color;
        ctx.lineWidth = of.width;
        ctx.setLineDash([...of.dash]);
        ctx.beginPath();
        ctx.moveTo(x, y);
        ctx.lineTo(x + SWATCH_PX, y);
        ctx.stroke();
        ctx.fillStyle = theme.text;
        ctx.fillText(of.name, x + SWATCH_PX + GAP_PX, y);
      }
      ctx.restore();
    },
  };
}

/**
 * @param {{ y: number }[]} labels from the highest to the lowest; moved in place
 * @param {number} top
 * @param {number} bottom
 */
function moveApart(labels, top, bottom) {
  let above = top - LINE_PX / 2;
  for (const label of labels) {
    label.y = Math.max(label.y, above + LINE_PX);
    above = label.y;
  }
  // What was pushed out at the bottom comes back up, and pushes the others.
  let below = bottom + LINE_PX / 2;
  for (const label of labels.toReversed()) {
    label.y = Math.min(label.y, below - LINE_PX);
    below = label.y;
  }
}
