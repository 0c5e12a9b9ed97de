import { Chart } from './chart-library.js';

/*
 * What the tooltip compares: of every line the point that is nearest to the pointer. Chart.js itself offers only
 * points of the same index or the same x, which lines measured by different relays do not share.
 */

const REACH_PX = 24;

/** @type {import('chart.js').InteractionModeFunction} */
function nearestOfEach(chart, event) {
  const pointer = event.x ?? 0;
  return chart.getSortedVisibleDatasetMetas().flatMap((meta) => {
    let nearest = -1;
    let distance = REACH_PX;
    for (const [index, element] of meta.data.entries()) {
      const away = Math.abs(element.x - pointer);
      if (away < distance) [nearest, distance] = [index, away];
    }
    const element = meta.data[nearest];
    return element === undefined ? [] : [{ element, datasetIndex: meta.index, index: nearest }];
  });
}

Object.assign(Chart.Interaction.modes, { nearestOfEach });
