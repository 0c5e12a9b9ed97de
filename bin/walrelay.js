#!/usr/bin/env node
// In the published package and the image only dist/ exists. In a checkout the sources run directly, so that
// `npx walrelay` always is what the working tree says and never a stale build.
import { existsSync } from 'node:fs';

const source = new URL('../src/cli/main.ts', import.meta.url);
if (existsSync(source)) {
  const { register } = await import('tsx/esm/api');
  register();
  await import(source.href);
} else {
  await import('../dist/cli/main.js');
}
