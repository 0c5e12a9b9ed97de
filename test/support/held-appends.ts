import type { FaultProxy, ProxiedConnection } from './fault-proxy.ts';
import { nameOfCommand, RespReader } from './protocol-points.ts';

/**
 * Keeps a relay's commands to Redis back, so that a test decides when each arrives; and their answers too, so that the
 * relay hears of none before all have been given.
 */
export class HeldAppends {
  readonly #held: Buffer[] = [];
  /** What was sent of it; it is answered in this order. */
  #sentCount = 0;
  readonly #answers: Buffer[] = [];
  #isHolding = false;
  #connection: ProxiedConnection | null = null;

  constructor(proxy: FaultProxy) {
    proxy.tap = (connection) => {
      const commands = new RespReader();
      const replies = new RespReader();
      return {
        onUpstream: (chunk) => {
          const arrived = commands.push(chunk);
          if (!this.#isHolding) return Buffer.concat(arrived);
          this.#connection = connection;
          this.#held.push(...arrived);
          return Buffer.alloc(0);
        },
        onDownstream: (chunk) => {
          const arrived = replies.push(chunk);
          if (!this.#isHolding) return Buffer.concat(arrived);
          this.#answers.push(...arrived);
          return Buffer.alloc(0);
        },
      };
    };
  }

  hold(): void {
    this.#isHolding = true;
  }

  /** Batches on their way, oldest first. */
  get appends(): readonly Buffer[] {
    return this.#held.filter((command) => nameOfCommand(command) === 'append');
  }

  /** What Redis has said so far to the batches that were sent. */
  get answers(): readonly string[] {
    return this.#answers
      .filter((_, index) => nameOfCommand(this.#held[index] as Buffer) === 'append')
      .map(String);
  }

  /**
   * Lets these batches reach Redis, the next ones in their order; what it answers is kept back. Whatever else the relay sent
   * in front of them goes along (the name of a new stream is noted on the same connection): an answer belongs to the command
   * in its place.
   */
  send(appends: readonly Buffer[]): void {
    const last = appends.at(-1);
    if (last === undefined) return;
    const end = this.#held.indexOf(last) + 1;
    this.#connection?.toServer.write(Buffer.concat(this.#held.slice(this.#sentCount, end)));
    this.#sentCount = end;
  }

  /** Lets the relay hear the answers, and all that follows pass. */
  release(): void {
    this.#isHolding = false;
    this.#connection?.toClient.write(Buffer.concat(this.#answers));
  }
}
