import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
/** Style sheets of the bench's page: the compiler takes scripts along, but not these. */
const PAGE = join('bench', 'html', 'page');

/** What `npm run build` does, without removing what is there: a test or a bench may be running from it. */
export function build(): void {
  const result = spawnSync(process.execPath, [TSC, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`the build failed:\n${result.stdout}${result.stderr}`);
  for (const file of readdirSync(join(ROOT, 'src', PAGE)).filter((name) => name.endsWith('.css'))) {
    cpSync(join(ROOT, 'src', PAGE, file), join(ROOT, 'dist', PAGE, file));
  }
}
