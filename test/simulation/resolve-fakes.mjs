/** Puts the simulated clients in the place of the packages. Registered by main.ts, for the simulation's process alone. */
const FAKES = {
  ioredis: './fake-ioredis.ts',
  pg: './fake-pg.ts',
  'pg-logical-replication': './fake-replication-service.ts',
};

export function resolve(specifier, context, nextResolve) {
  const fake = FAKES[specifier];
  return fake === undefined ? nextResolve(specifier, context) : nextResolve(new URL(fake, import.meta.url).href, context);
}
