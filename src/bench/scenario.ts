import type { ScenarioFacts } from './bench-report.ts';
import type { LoadPlan } from './load-plan.ts';

/**
 * latency      producers write on schedule while the relay runs
 * backlog      everything is written before the relay starts
 * transaction  everything is written in one transaction while the relay runs
 */
export type ScenarioKind = 'latency' | 'backlog' | 'transaction';

export interface Scenario {
  readonly id: string;
  readonly title: string;
  readonly summary: string;
  readonly kind: ScenarioKind;
  readonly plan: LoadPlan;
  /** The measured part; the warm-up comes before it. 0 where everything is written at once. */
  readonly seconds: number;
  readonly warmupSeconds: number;
  /** Events that the server itself writes before: all of them, or what is drained before the producers begin. */
  readonly backlogEvents: number;
  readonly backlogRowsPerTransaction: number;
  /** Who takes part unless somebody chooses, by id or (`peer`) by kind; absent: everybody. */
  readonly contestants?: readonly string[];
  /** Why a contestant can't take part. */
  unsuitable?(contestant: string): string | undefined;
}

/** Events that are measured. */
export function eventsOf({ kind, plan, seconds, backlogEvents }: Scenario): number {
  if (kind !== 'latency') return backlogEvents;
  switch (plan.arrivals.kind) {
    case 'steady':
      return Math.round(plan.arrivals.ratePerSecond * seconds);
    case 'pauses':
      return Math.round((seconds * 2000) / (plan.arrivals.minMs + plan.arrivals.maxMs));
    case 'bursts':
      return Math.max(1, Math.floor((seconds * 1000) / plan.arrivals.everyMs)) * plan.arrivals.events;
  }
}

export function factsOfScenario(scenario: Scenario): ScenarioFacts {
  const { id, title, summary, kind, plan } = scenario;
  return {
    id,
    title,
    summary,
    measures: kind === 'latency' ? 'latency' : 'throughput',
    events: eventsOf(scenario),
    payloadBytes: plan.payloadBytes,
    ...(kind === 'latency' && plan.arrivals.kind === 'steady'
      ? { ratePerSecond: plan.arrivals.ratePerSecond }
      : {}),
  };
}
