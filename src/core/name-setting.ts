import type { OutboxPlace } from './outbox-mapping.ts';

/**
 * What an operator calls a setting of an outbox, to put it right: a variable where there is one outbox, its place in the
 * file where there is a list of them.
 */
export function nameSetting({ place }: Placed, key: string): string {
  if (place !== null) return `${place.item}.${key} in ${place.file}`;
  // Routes stand in the file alone.
  if (key.startsWith('routes[')) return `${key} in the configuration file`;
  return `WALRELAY_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** The same with the value that it should have. */
export function assignSetting(placed: Placed, key: string, value: string): string {
  const name = nameSetting(placed, key);
  return placed.place === null ? `${name}='${value}'` : `${name} to '${value}'`;
}

interface Placed {
  readonly place: OutboxPlace | null;
}
