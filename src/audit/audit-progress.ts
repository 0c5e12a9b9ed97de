/** How far an audit is; told about ten times a second at most. */
export interface AuditProgress {
  step(step: AuditStep): void;
}

export interface AuditStep {
  readonly phase: AuditPhase;
  readonly rows: number;
  readonly entries: number;
  /** Of this phase, 0 to 1; null when nobody knows. */
  readonly done: number | null;
}

export type AuditPhase =
  | 'waiting for the relay'
  | 'reading rows'
  | 'reading entries'
  | 'comparing'
  | 'looking outside of the range'
  | 'recovering';

export const NO_PROGRESS: AuditProgress = { step: () => {} };
