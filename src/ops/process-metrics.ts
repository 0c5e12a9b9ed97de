import { collectDefaultMetrics, type Registry } from 'prom-client';

/** What prom-client knows of any process: CPU, memory, garbage collection, delay of the event loop. */
export function collectProcessMetrics(register: Registry, prefix: string): void {
  collectDefaultMetrics({ register, prefix, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS });
}

/** The library's own 10 ms would wake an idle process a hundred times a second: half of what it costs. */
const EVENT_LOOP_PRECISION_MS = 100;
