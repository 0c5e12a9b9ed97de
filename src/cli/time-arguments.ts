import { InvalidArgumentError } from 'commander';

/** Parsers for commander: times and rates, as an operator writes them. */

const UNIT_US: Readonly<Record<string, bigint>> = {
  s: 1_000_000n,
  m: 60_000_000n,
  h: 3_600_000_000n,
  d: 86_400_000_000n,
};

/** `90s`, `15m`, `1h`, `7d`, in microseconds. */
export function span(text: string): bigint {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const unit = UNIT_US[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError('expected a number with s, m, h or d, such as 90s, 15m, 1h or 7d.');
  }
  return BigInt(match[1] as string) * unit;
}

const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?(Z|[+-]\d\d:?\d\d)?$/;

/** ISO 8601, in microseconds since 1970; without an offset it is UTC. */
export function time(text: string): bigint {
  const match = TIME.exec(text.trim());
  const [, date, minutes = '00:00', seconds = '00', fraction = '', offset = 'Z'] = match ?? [];
  const zone = offset === 'Z' ? 'Z' : `${offset.slice(0, 3)}:${offset.slice(-2)}`;
  const ms = match === null ? Number.NaN : Date.parse(`${date}T${minutes}:${seconds}${zone}`);
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError(
      'expected a time such as 2026-11-21T08:30:00Z or "2026-11-21 08:30+01:00" (UTC without an offset).',
    );
  }
  return BigInt(ms) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

export function perSecond(text: string): number {
  return wholeIn(text, 1, 10_000_000);
}

export function waitSeconds(text: string): number {
  return wholeIn(text, 0, 3600);
}

export function howMany(text: string): number {
  return wholeIn(text, 1, 1_000_000);
}

function wholeIn(text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
  }
  return value;
}
