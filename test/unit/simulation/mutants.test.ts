import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MUTANTS } from '../../simulation/mutant-list.ts';

test('every known bug can still be put back: what it changes stands once in its file', () => {
  const places = MUTANTS.flatMap(({ name, mutations }) =>
    mutations.map(({ file, search }) => {
      const text = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
      return { name, times: text.split(search).length - 1 };
    }),
  );
  expect(places.filter(({ times }) => times !== 1)).toEqual([]);
  expect(places.length).toBeGreaterThan(25);
});
