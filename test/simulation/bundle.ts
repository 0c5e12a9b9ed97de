import { mkdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFile } from 'node:fs/promises';
import { build, type Plugin } from 'esbuild';

/** A bug that is put back: in `file`, from the root of the repository, `search` becomes `replace`. */
export interface Mutation {
  readonly file: string;
  readonly search: string;
  readonly replace: string;
}

/**
 * Puts the simulation and the relay into one file that Node runs as it is, with simulated clients in the place of the packages
 * that speak to servers. Nothing of src is changed for that, unless a mutation asks for it. Returns the file's path.
 */
export async function bundleSimulation(
  mutations: readonly Mutation[] = [],
  name = 'simulation',
): Promise<string> {
  const folder = join(ROOT, '.cache', 'simulation');
  mkdirSync(folder, { recursive: true });
  const outfile = join(folder, `${name}.mjs`);
  await build({
    entryPoints: [join(HERE, 'simulate.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
    plugins: [simulatedClients, mutating(mutations)],
  });
  return outfile;
}

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');

const FAKES: Readonly<Record<string, string>> = {
  ioredis: 'fake-ioredis.ts',
  pg: 'fake-pg.ts',
  'pg-logical-replication': 'fake-replication-service.ts',
};

const simulatedClients: Plugin = {
  name: 'simulated clients',
  setup(bundle) {
    bundle.onResolve({ filter: /^(?:ioredis|pg|pg-logical-replication)$/ }, ({ path }) => ({
      path: join(HERE, FAKES[path] as string),
    }));
  },
};

function mutating(mutations: readonly Mutation[]): Plugin {
  return {
    name: 'mutations',
    setup(bundle) {
      bundle.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const own = mutations.filter(({ file }) => file === relative(ROOT, path).replaceAll('\\', '/'));
        if (own.length === 0) return null;
        let contents = await readFile(path, 'utf8');
        for (const { file, search, replace } of own) {
          const at = contents.indexOf(search);
          if (at === -1 || contents.includes(search, at + 1))
            throw new Error(`not once in ${file}, so that the bug can't be put back: ${search}`);
          contents = contents.replace(search, () => replace);
        }
        return { contents, loader: 'ts' };
      });
    },
  };
}
