import type { Settings } from './settings.ts';

/** What the settings ask of Redis; its guard finds what it lacks. */
export function redisExpectations(settings: Settings) {
  return {
    argumentBytesMax: settings.batchBytesMax + settings.eventBytesMax,
    isPersistenceRequired: settings.redisPersistence === 'require',
    isCluster: settings.redisMode === 'cluster',
  };
}
