import type { RedisServer } from './redis.ts';
import { callRedis, untilServers } from './redis-call.ts';

interface Node extends RedisServer {
  readonly id: string;
}

interface MigrationOptions {
  readonly slot: number;
  readonly from: Node;
  readonly to: Node;
  readonly nodes: readonly Node[];
}

const MIGRATE_TIMEOUT_MS = 5_000;

/**
 * A slot on its way from one master to another. Between `begin` and `finish` the old owner answers ASK for keys
 * that have left, TRYAGAIN where some of a command's keys have; after `finish` MOVED.
 */
export class SlotMigration {
  readonly slot: number;
  readonly from: Node;
  readonly to: Node;
  readonly #nodes: readonly Node[];

  constructor({ slot, from, to, nodes }: MigrationOptions) {
    this.slot = slot;
    this.from = from;
    this.to = to;
    this.#nodes = nodes;
  }

  async begin(): Promise<void> {
    await callRedis(this.to.url, 'CLUSTER', 'SETSLOT', this.slot, 'IMPORTING', this.from.id);
    await callRedis(this.from.url, 'CLUSTER', 'SETSLOT', this.slot, 'MIGRATING', this.to.id);
  }

  /** The slot's keys that the old owner still has, in no order. */
  async keysLeft(countMax = 10_000): Promise<string[]> {
    return (await callRedis(this.from.url, 'CLUSTER', 'GETKEYSINSLOT', this.slot, countMax)) as string[];
  }

  async moveKeys(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const auth = this.to.password === '' ? [] : ['AUTH', this.to.password];
    const target = ['127.0.0.1', this.to.port, '', 0, MIGRATE_TIMEOUT_MS];
    await callRedis(this.from.url, 'MIGRATE', ...target, ...auth, 'KEYS', ...keys);
  }

  /** Moves what is left and hands the slot over; resolves when every node that answers knows. */
  async finish(): Promise<void> {
    // Writers may make keys on the way.
    for (let keys = await this.keysLeft(); keys.length > 0; keys = await this.keysLeft()) {
      await this.moveKeys(keys);
    }
    // The new owner first: else the old one would answer MOVED to a node that does not feel responsible.
    await callRedis(this.to.url, 'CLUSTER', 'SETSLOT', this.slot, 'NODE', this.to.id);
    await callRedis(this.from.url, 'CLUSTER', 'SETSLOT', this.slot, 'NODE', this.to.id);
    await untilServers(`all nodes to know of slot ${this.slot}`, async () => {
      const owners = await Promise.allSettled(this.#nodes.map(async (node) => await this.#ownerPort(node)));
      return owners.every((owner) => owner.status === 'rejected' || owner.value === this.to.port);
    });
  }

  /** As it was. Nobody may write to what has left meanwhile: the old owner would make it anew. */
  async undo(): Promise<void> {
    // Open, the old owner would answer its own keys' return with ASK; the other end only lets go while it is open.
    await callRedis(this.from.url, 'CLUSTER', 'SETSLOT', this.slot, 'STABLE');
    const back = new SlotMigration({ slot: this.slot, from: this.to, to: this.from, nodes: this.#nodes });
    await back.moveKeys(await back.keysLeft());
    await callRedis(this.to.url, 'CLUSTER', 'SETSLOT', this.slot, 'STABLE');
  }

  async #ownerPort(node: Node): Promise<number | undefined> {
    const ranges = (await callRedis(node.url, 'CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
    return ranges.find(([from, to]) => from <= this.slot && this.slot <= to)?.[2][1];
  }
}
