/** What `global-setup.ts` hands to every test file: `inject('databaseUrl')`. */
export interface ProvidedServers {
  /** A superuser, so that each file can make its own database, roles and slots. */
  databaseUrl: string;
  redisUrl: string;
}

/** TypeScript finds the module to augment only if the file names it in an import or export. */
export type { ProvidedContext } from 'vitest';

declare module 'vitest' {
  export interface ProvidedContext extends ProvidedServers {}
}
