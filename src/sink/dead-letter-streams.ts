import { taggedKey } from '../core/own-keys.ts';
import type { LaneState } from './lane-state.ts';

/** Every stream that dead letters may stand in: on a cluster also one for each lane. */
export function deadLetterStreams(base: string, lane: Pick<LaneState, 'parts'>): string[] {
  // The lane of the events that have no stream is listed too: its tag is the base itself.
  const tags = (lane.parts ?? []).map(({ tag }) => tag).filter((tag) => tag !== base);
  return [base, ...tags.map((tag) => taggedKey(base, tag))];
}
