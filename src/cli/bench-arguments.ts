import { InvalidArgumentError } from 'commander';

/** Parsers for commander: each refuses what it can't read, with what it expected. */

export function ids(text: string): string[] {
  return text
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '');
}

export function seconds(text: string): number {
  return numberIn(text, { min: 1, max: 3600 });
}

export function events(text: string): number {
  return Math.floor(numberIn(text, { min: 1000, max: 100_000_000 }));
}

export function seed(text: string): number {
  return Math.floor(numberIn(text, { min: 0, max: 0xffff_ffff }));
}

function numberIn(text: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new InvalidArgumentError(`expected a number from ${min} to ${max}.`);
  }
  return value;
}
