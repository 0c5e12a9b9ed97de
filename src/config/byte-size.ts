export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1000,
  KB: 1000,
  KiB,
  MB: 1000 ** 2,
  MiB,
  GB: 1000 ** 3,
  GiB,
};

/** `64MiB`, `512 kB` or `1048576` as bytes; undefined for anything else. kB, MB, GB are powers of 1000. */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d{1,15}) ?([A-Za-z]{0,3})$/.exec(text);
  const unitBytes = UNIT_BYTES[match?.[2] ?? ''];
  if (match === null || unitBytes === undefined) return undefined;
  const bytes = Number(match[1]) * unitBytes;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact form: `64MiB`, `1500B`. What it prints, parseByteSize reads back. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    const count = bytes / (UNIT_BYTES[unit] ?? 1);
    if (count >= 1 && Number.isInteger(count)) return `${count}${unit}`;
  }
  return `${bytes}B`;
}
