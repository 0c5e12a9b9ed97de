import { sessionErrors } from '../../support/chaos-links.ts';
import type { Daemon, Env } from '../../support/cli.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Scene } from '../scene.ts';

const FENCED_EXIT_CODE = 75;
const KILL_LIMIT_MS = 30_000;

/** One or two relays on one slot, started again as a supervisor would. Any end that was not asked for is a failure. */
export class SoakRelays {
  readonly #scene: Scene;
  readonly #env: Env;
  #relays: Daemon[] = [];
  /** Were stopped for longer than they may: others may have taken over. */
  readonly #suspended = new WeakSet<Daemon>();

  constructor(scene: Scene, env: Env) {
    this.#scene = scene;
    this.#env = env;
  }

  /** Brings the number of relays to `count`; throws when one has ended by itself. */
  async tend(count: number): Promise<void> {
    for (const relay of this.#relays.filter(({ hasExited }) => hasExited)) {
      const { exitCode, signal, stderr } = await relay.exited;
      if (!this.#isZombie(relay, exitCode))
        throw new Error(
          `a relay ended by itself with ${sessionErrors(relay).at(-1)}, ${exitCode ?? signal}:\n${stderr.slice(-4000)}`,
        );
    }
    this.#relays = this.#relays.filter(({ hasExited }) => !hasExited);
    while (this.#relays.length > count) await this.stop();
    while (this.#relays.length < count) this.#relays.push(this.#scene.start(this.#env));
  }

  /** The one that streams, or the oldest. */
  get holder(): Daemon {
    const streams = (relay: Daemon) =>
      relay.log.findLast((line) => line.msg === 'streaming' || line.msg.startsWith('standing by'))?.msg ===
      'streaming';
    const holder = this.#relays.find(streams) ?? this.#relays[0];
    if (holder === undefined) throw new Error('there is no relay');
    return holder;
  }

  async kill(): Promise<void> {
    const relay = this.#remove(this.holder);
    await relay.kill();
  }

  async stop(): Promise<void> {
    const relay = this.#remove(this.holder);
    relay.signal('SIGTERM');
    const { exitCode, stderr } = await waitFor(
      'a relay to stop',
      () => relay.hasExited && relay.exited,
      KILL_LIMIT_MS,
    );
    // 74: what is in flight may not be answered in time while a server is away; nothing is lost by it.
    if (exitCode !== 0 && exitCode !== 74 && !this.#isZombie(relay, exitCode))
      throw new Error(`SIGTERM ended a relay with ${exitCode}:\n${stderr.slice(-4000)}`);
  }

  suspend(): Daemon {
    const { holder } = this;
    this.#suspended.add(holder);
    holder.signal('SIGSTOP');
    return holder;
  }

  /** Others have taken over while it slept. Its supervisor starts it again, and it stands by. */
  #isZombie(relay: Daemon, exitCode: number | null): boolean {
    return exitCode === FENCED_EXIT_CODE && this.#suspended.has(relay);
  }

  #remove(relay: Daemon): Daemon {
    this.#relays = this.#relays.filter((other) => other !== relay);
    return relay;
  }
}
