import type { Contestant } from '../../../src/bench/contestant.ts';

/** A peer that a reader of the report would miss, and why it isn't measured. */
export function absentPeer({ reason, ...facts }: AbsentPeer): Contestant {
  const refuse = async (): Promise<never> => {
    throw new Error(`${facts.name}: ${reason}`);
  };
  return {
    ...facts,
    kind: 'peer',
    unavailable: async () => reason,
    setUp: refuse,
    start: refuse,
    tearDown: async () => undefined,
  };
}

export interface AbsentPeer {
  readonly id: string;
  readonly name: string;
  readonly summary: string;
  readonly reason: string;
}
