/* The colours of the style sheet, resolved for a canvas, which knows no CSS variables. */

/**
 * @param {string} variable such as `--series-0`
 * @returns {string} `rgb(…)`, as the theme of the moment has it
 */
export function themeColor(variable) {
  const probe = document.createElement('span');
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

export function chartTheme() {
  return {
    text: themeColor('--text'),
    muted: themeColor('--muted'),
    grid: themeColor('--grid'),
    axis: themeColor('--axis'),
    surface: themeColor('--surface'),
    font: getComputedStyle(document.body).fontFamily,
  };
}

/** @typedef {ReturnType<typeof chartTheme>} ChartTheme */
