import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

/**
 * Looks at a report in a real browser: `node --import tsx dev/bench/screenshot.ts report.html out-dir`. A picture of
 * the whole page in both themes, wide and narrow, one of each scenario, and the printed page. Fails when the page
 * logs an error, asks the network for anything or is wider than the screen.
 */
const WIDTHS = [1280, 360];
const THEMES = ['light', 'dark'] as const;
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const [report, outDir] = process.argv.slice(2);
if (report === undefined || outDir === undefined) {
  console.error('usage: node --import tsx dev/bench/screenshot.ts report.html out-dir');
  process.exitCode = 78;
} else {
  await main(pathToFileURL(resolve(report)).href, outDir);
}

async function main(url: string, dir: string): Promise<void> {
  const browser = await launch();
  if (browser === undefined) {
    console.error(
      'screenshot: found no Chromium. Install one (Debian: apt-get install chromium), or name it in CHROMIUM_PATH.',
    );
    process.exitCode = 69;
    return;
  }
  mkdirSync(dir, { recursive: true });
  const complaints: string[] = [];
  try {
    for (const colorScheme of THEMES) {
      for (const width of WIDTHS) {
        const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
        const page = await context.newPage();
        watch(page, complaints);
        await page.goto(url);
        await picture(page, join(dir, `${colorScheme}-${width}`), complaints);
        await context.close();
      }
    }
    await withoutScript(browser, url, join(dir, 'no-script.png'));
  } finally {
    await browser.close();
  }
  for (const complaint of complaints) console.error(`screenshot: ${complaint}`);
  if (complaints.length > 0) process.exitCode = 1;
}

/** Undefined where there is none; throws when there is one that does not start. */
async function launch(): Promise<Browser | undefined> {
  const { CHROMIUM_PATH: named } = process.env;
  const executablePath = (named === undefined ? BROWSERS : [named]).find((path) => existsSync(path));
  if (executablePath === undefined) return undefined;
  // Root has no sandbox, and in a container /dev/shm is small.
  return await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

function watch(page: Page, complaints: string[]): void {
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`page: ${error.message}`));
  page.on('request', (request) => {
    if (!/^(?:file|data|blob):/.test(request.url())) complaints.push(`network: ${request.url()}`);
  });
}

async function picture(page: Page, name: string, complaints: string[]): Promise<void> {
  await page.screenshot({ path: `${name}.png`, fullPage: true });
  const [scroll, width, top] = await page.evaluate<[number, number, number]>(
    '[document.documentElement.scrollWidth, innerWidth, scrollY]',
  );
  if (scroll > width) complaints.push(`${name}: ${scroll} px wide on a screen of ${width} px`);
  if (top !== 0) complaints.push(`${name}: opens ${top} px down the page`);
  const picks = page.locator('input[name="scenario"]');
  for (let index = 0; index < (await picks.count()); index++) {
    await picks.nth(index).check({ force: true });
    await page.locator('.scenario.is-shown').screenshot({ path: `${name}-scenario-${index + 1}.png` });
  }
  if (name.endsWith('1280')) await page.pdf({ path: `${name}.pdf`, format: 'A4' });
}

/** Everything is there as tables. */
async function withoutScript(browser: Browser, url: string, path: string): Promise<void> {
  const context = await browser.newContext({
    javaScriptEnabled: false,
    viewport: { width: 1280, height: 900 },
  });
  const page = await context.newPage();
  await page.goto(url);
  await page.screenshot({ path, fullPage: true });
  await context.close();
}
