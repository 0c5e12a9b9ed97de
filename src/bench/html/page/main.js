import { applyTheme, storedTheme, THEME_KEY } from './before-paint.js';
import { drawScenarioChart } from './scenario-charts.js';

/*
 * What the page can do with a script: charts for the scenario that is picked, relays switched off and on, themes, and
 * the raw data as a file. Without it, all scenarios stand one below the other as tables.
 */

const data = document.getElementById('report-data')?.textContent ?? '';
/** @type {import('../../bench-report.ts').BenchReport} */
const report = JSON.parse(data);

/** @type {ReturnType<typeof drawScenarioChart>[]} */
let drawn = [];
/** @type {Set<string>} */
const hidden = new Set();

const panels = all('.scenario', HTMLElement);
const picks = all('input[name="scenario"]', HTMLInputElement);

/** @param {string} id of a panel */
function show(id) {
  const wanted = panels.find((panel) => panel.id === id) ?? panels[0];
  for (const panel of panels) panel.classList.toggle('is-shown', panel === wanted);
  for (const pick of picks) pick.checked = pick.value === wanted?.id;
  revealPick();
  draw(wanted === undefined ? [] : [wanted]);
}

/** On a narrow screen the scenarios stand in a row that scrolls; the page itself stays where it is. */
function revealPick() {
  const label = picks.find(({ checked }) => checked)?.closest('label');
  const row = label?.parentElement;
  if (label && row) row.scrollLeft = label.offsetLeft - (row.clientWidth - label.offsetWidth) / 2;
}

/** Follows a link to a panel, which the browser could not: the panel was hidden. */
function followHash() {
  const panel = panels.find(({ id }) => `#${id}` === location.hash);
  if (panel === undefined) return;
  show(panel.id);
  panel.scrollIntoView();
}

/** @param {readonly HTMLElement[]} where */
function draw(where) {
  for (const chart of drawn) chart.destroy();
  const canvases = where.flatMap((panel) => [...panel.querySelectorAll('canvas')]);
  drawn = canvases.map((canvas) => drawScenarioChart(report, canvas, hidden));
}

function redraw() {
  draw(panels.filter((panel) => panel.classList.contains('is-shown')));
}

for (const pick of picks) {
  pick.addEventListener('change', () => {
    history.replaceState(null, '', `#${pick.value}`);
    show(pick.value);
  });
}
addEventListener('hashchange', followHash);

for (const button of all('button[data-contestant]', HTMLButtonElement)) {
  button.addEventListener('click', () => {
    const id = button.dataset['contestant'] ?? '';
    if (!hidden.delete(id)) hidden.add(id);
    for (const same of all('button[data-contestant]', HTMLButtonElement)) {
      same.setAttribute('aria-pressed', String(!hidden.has(same.dataset['contestant'] ?? '')));
    }
    redraw();
  });
}

for (const choice of all('input[name="theme"]', HTMLInputElement)) {
  choice.checked = choice.value === (storedTheme() ?? 'auto');
  choice.addEventListener('change', () => {
    try {
      localStorage.setItem(THEME_KEY, choice.value);
    } catch {
      // Then it lasts until the page is closed.
    }
    applyTheme(choice.value);
    redraw();
  });
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

// On paper: every scenario, dark on light.
addEventListener('beforeprint', () => {
  applyTheme('light');
  for (const panel of panels) panel.classList.add('is-printed');
  draw(panels);
});
addEventListener('afterprint', () => {
  applyTheme(all('input[name="theme"]:checked', HTMLInputElement)[0]?.value ?? 'auto');
  for (const panel of panels) panel.classList.remove('is-printed');
  redraw();
});

document.getElementById('download')?.addEventListener('click', () => {
  const url = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `walrelay-bench-${report.startedAt.slice(0, 19).replaceAll(':', '')}.json`;
  link.click();
  URL.revokeObjectURL(url);
});

show('');
followHash();

/**
 * @template {Element} E
 * @param {string} selector
 * @param {new () => E} type
 * @returns {E[]}
 */
function all(selector, type) {
  return [...document.querySelectorAll(selector)].flatMap((element) =>
    element instanceof type ? [element] : [],
  );
}
