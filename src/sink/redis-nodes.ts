import { createDeferred } from '../core/deferred.ts';
import type { HostPort, RedisTarget } from '../core/redis-target.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { readClusterSlots, type SlotRange } from './cluster-slots.ts';
import { hashSlot } from './hash-slot.ts';
import { RedisConnection } from './redis-connection.ts';

/**
 * Every connection to Redis that a session has: one to a single server, one to each master of a cluster. A key's
 * commands always go to the node that owned its slot when the session began: when the slot moves, Redis says so
 * (MOVED, ASK), the session ends, and the next one asks anew.
 */
export class RedisNodes {
  readonly #nodes: readonly RedisNode[];
  readonly #ranges: readonly SlotRange[];
  readonly #ended = createDeferred<WalrelayError>();

  private constructor(nodes: readonly RedisNode[], ranges: readonly SlotRange[]) {
    this.#nodes = nodes;
    this.#ranges = ranges;
    for (const { writer, waiter } of nodes) {
      void writer.ended.then((error) => this.#ended.resolve(error));
      if (waiter !== writer) void waiter.ended.then((error) => this.#ended.resolve(error));
    }
  }

  /**
   * Throws the first reason why a node can't be reached. `hasWaiters`: a second connection to each node, for commands
   * that block their connection.
   */
  static async open(
    target: RedisTarget,
    timeoutMs: number,
    { hasWaiters = false }: { readonly hasWaiters?: boolean } = {},
  ): Promise<RedisNodes> {
    const opened: RedisConnection[] = [];
    const open = async (node?: HostPort) => {
      const connection = await RedisConnection.open(target, timeoutMs, node);
      opened.push(connection);
      return connection;
    };
    const openNode = async (node?: HostPort): Promise<RedisNode> => {
      const writer = await open(node);
      return { writer, waiter: hasWaiters ? await open(node) : writer };
    };
    try {
      if (target.mode !== 'cluster') return new RedisNodes([await openNode()], []);
      const { masters, ranges } = await readClusterSlots(target, timeoutMs);
      return new RedisNodes(await Promise.all(masters.map(openNode)), ranges);
    } catch (error) {
      for (const connection of opened) connection.destroy();
      throw error;
    }
  }

  /** Resolves with the reason when one of the connections is over. Never rejects. */
  get ended(): Promise<WalrelayError> {
    return this.#ended.promise;
  }

  get writers(): readonly RedisConnection[] {
    return this.#nodes.map(({ writer }) => writer);
  }

  /** The node that holds a key. Throws REDIS_NOT_READY for a slot that no master owned. */
  nodeOf(key: string): RedisNode {
    if (this.#ranges.length === 0) return this.#nodes[0] as RedisNode;
    const slot = hashSlot(key);
    const range = this.#ranges.find(({ first, last }) => slot >= first && slot <= last);
    const node = range === undefined ? undefined : this.#nodes[range.master];
    if (node === undefined) {
      throw new WalrelayError('REDIS_NOT_READY', `no master of the cluster owns the slot ${slot}`);
    }
    return node;
  }

  /** Resolves when every node has answered; the session ends when one does not. */
  async prove(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.command('a sign of life', 'PING')));
  }

  destroy(): void {
    for (const { writer, waiter } of this.#nodes) {
      writer.destroy();
      waiter.destroy();
    }
  }
}

export interface RedisNode {
  readonly writer: RedisConnection;
  /** For WAIT and WAITAOF, which block their connection; the writer itself when there is nothing to wait for. */
  readonly waiter: RedisConnection;
}
