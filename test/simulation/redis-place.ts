import { hashSlot, hashTag } from '../../src/sink/hash-slot.ts';
import { RedisNode, type RedisObserver } from './redis-node.ts';
import type { RedisState, Reply } from './script-model.ts';

/** Where the relay keeps its streams: one Redis, or the masters of a cluster that share the hash slots evenly. */
export class RedisPlace {
  readonly nodes: readonly RedisNode[];
  readonly controlKey: string;
  readonly #isCluster: boolean;

  constructor(options: {
    readonly nodeCount: number;
    readonly controlKey: string;
    readonly control: ReadonlyMap<string, string>;
    readonly observer: RedisObserver;
  }) {
    const { nodeCount, controlKey, control, observer } = options;
    this.controlKey = controlKey;
    this.#isCluster = nodeCount > 1;
    const home = this.#isCluster ? indexOf(controlKey, nodeCount) : 0;
    this.nodes = Array.from(
      { length: nodeCount },
      (_, index) =>
        new RedisNode({
          name: `redis-${index}`,
          isCluster: this.#isCluster,
          slots: () => clusterSlots(nodeCount),
          observer,
          seed: {
            hashes: index === home ? new Map([[controlKey, new Map(control)]]) : new Map(),
            streams: new Map(),
            others: new Set(),
          },
        }),
    );
  }

  nodeOf(key: string): RedisNode {
    return this.nodes[this.#isCluster ? indexOf(key, this.nodes.length) : 0] as RedisNode;
  }

  /** Which node a client connects to. */
  nodeAt(url: string): RedisNode {
    const { hostname } = new URL(url);
    return this.nodes.find(({ name }) => name === hostname) as RedisNode;
  }

  stateOf(key: string): RedisState {
    return this.nodeOf(key).state;
  }

  laneKeyOf(stream: string): string {
    return this.#isCluster ? `${this.controlKey}:{${hashTag(stream)}}` : this.controlKey;
  }
}

const SLOT_COUNT = 16_384;
const slots = new Map<string, number>();

function indexOf(key: string, nodeCount: number): number {
  let slot = slots.get(key);
  if (slot === undefined) {
    slot = hashSlot(key);
    slots.set(key, slot);
  }
  return Math.floor((slot * nodeCount) / SLOT_COUNT);
}

function clusterSlots(nodeCount: number): Reply {
  return Array.from({ length: nodeCount }, (_, index) => [
    Math.ceil((index * SLOT_COUNT) / nodeCount),
    Math.ceil(((index + 1) * SLOT_COUNT) / nodeCount) - 1,
    [`redis-${index}`, 6379, `id-${index}`],
  ]);
}
