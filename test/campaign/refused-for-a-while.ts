import { setTimeout as sleep } from 'node:timers/promises';
import { waitForEvents } from '../support/chaos-links.ts';
import type { Daemon } from '../support/cli.ts';
import { countErrors, waitForError } from '../support/relay-errors.ts';
import type { RowContext } from './row-context.ts';
import type { Scene } from './scene.ts';

export interface Refusal {
  /** What the table of a run calls it. */
  readonly fault: string;
  /** What the relay calls it. */
  readonly code: string;
  readonly times: number;
  /** Delivered between one and the next. */
  readonly events: number;
  begin(): Promise<unknown>;
  /** What is looked at while Redis refuses, and so how long it does; else for up to half a second. */
  meanwhile?(): Promise<void>;
  end(): Promise<unknown>;
}

/** A Redis that refuses for a while, several times: each time the relay names it, and goes on by itself once it may. */
export async function refusedForAWhile(
  { context, scene, daemon }: { context: RowContext; scene: Scene; daemon: Daemon },
  refusal: Refusal,
): Promise<void> {
  for (let count = 1; count <= refusal.times; count += 1) {
    await waitForEvents(daemon, count * refusal.events);
    const met = countErrors(daemon, refusal.code);
    const fault = context.fault(refusal.fault);
    await refusal.begin();
    await waitForError(daemon, refusal.code, met + 1);
    await (refusal.meanwhile?.() ?? sleep(context.random.int(0, 500)));
    await refusal.end();
    fault.over();
    await scene.recover(daemon, fault);
  }
}
