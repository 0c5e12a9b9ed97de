/** What the bench is given of the process that it runs in. */
export interface BenchHost {
  /** Microseconds of the monotonic clock that all processes of this machine share. */
  nowUs(): number;
  readonly nodeVersion: string;
  /** For child processes: without settings of Walrelay, without URLs. */
  readonly env: Readonly<Record<string, string>>;
}
