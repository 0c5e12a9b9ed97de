/** `0.84 ms`, `12.3 ms`, `1520 ms`: three digits are all that a latency is worth. */
export function formatMs(ms: number): string {
  const digits = Math.abs(ms) < 10 ? 2 : Math.abs(ms) < 100 ? 1 : 0;
  return `${ms.toFixed(digits)} ms`;
}
