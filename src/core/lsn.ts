import { readUint64 } from './int64.ts';

/**
 * A position in the write-ahead log: an unsigned 64-bit byte offset, as Postgres counts it.
 * Every position the walsender names is already "last byte + 1"; nothing in Walrelay ever adds one.
 */
export type Lsn = bigint & { readonly __brand: 'Lsn' };

export const ZERO_LSN = 0n as Lsn;
const LSN_MAX = 0xffff_ffff_ffff_ffffn;
const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Brands a 64-bit unsigned integer. Throws RangeError outside of 0 … 2^64 − 1. */
export function toLsn(value: bigint): Lsn {
  if (value < 0n || value > LSN_MAX) throw new RangeError(`LSN out of range: ${value}`);
  return value as Lsn;
}

/** Parses Postgres's text form, `16/B374D848`. Throws RangeError for anything else. */
export function parseLsn(text: string): Lsn {
  const match = LSN_TEXT.exec(text);
  if (match === null) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** Postgres's own text form (`%X/%X`): upper case, no leading zeros. */
export function formatLsn(lsn: Lsn): string {
  const high = (lsn >> 32n).toString(16).toUpperCase();
  const low = (lsn & 0xffff_ffffn).toString(16).toUpperCase();
  return `${high}/${low}`;
}

export function readLsn(bytes: Buffer, offset: number): Lsn {
  return readUint64(bytes, offset) as Lsn;
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}

/** Sixteen upper-case hex digits: a fixed width, which the scripts in Redis take apart and compare as numbers. */
export function lsnToHex(lsn: Lsn): string {
  return lsn.toString(16).toUpperCase().padStart(16, '0');
}

export function lsnFromHex(hex: string): Lsn {
  if (!/^[0-9A-F]{16}$/.test(hex)) throw new RangeError(`not a hex LSN: ${JSON.stringify(hex)}`);
  return BigInt(`0x${hex}`) as Lsn;
}
