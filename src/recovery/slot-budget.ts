import type { ClientConfig } from 'pg';
import { WalrelayError } from '../core/walrelay-error.ts';
import { WalBudget } from '../relay/wal-budget.ts';
import { type SlotWal, WalWatch } from '../source/wal-watch.ts';

/**
 * Looks every few seconds at the WAL that the new slot keeps while nothing is confirmed: says how much that is, warns when the
 * server will not keep much more, and ends the work when the slot is lost.
 */
export class SlotBudget implements Disposable {
  readonly #watch: WalWatch;
  readonly #budget: WalBudget;
  readonly #slot: string;
  readonly #told: (text: string) => void;
  #timer: NodeJS.Timeout | null = null;
  #lost: WalrelayError | null = null;
  #toldAtMs = performance.now();
  #retainedBytes: number | null = null;
  #isDisposed = false;

  constructor(
    config: () => ClientConfig,
    options: {
      readonly slot: string;
      readonly retainedWarnBytes: number;
      readonly told: (text: string) => void;
    },
  ) {
    this.#slot = options.slot;
    this.#told = options.told;
    this.#watch = new WalWatch(config, options.slot);
    this.#budget = new WalBudget(options);
  }

  start(): void {
    this.#timer = setInterval(() => {
      // A server that can't be asked says so to whoever reads the rows.
      this.look().catch(() => {});
    }, LOOK_INTERVAL_MS);
  }

  get retainedBytes(): number | null {
    return this.#retainedBytes;
  }

  /** Throws SLOT_LOST once a look has found the slot gone. */
  check(): void {
    if (this.#lost !== null) throw this.#lost;
  }

  async look(): Promise<void> {
    const wal = await this.#watch.look();
    // It may have opened a connection after the end, which would keep the process alive.
    if (this.#isDisposed) this.#watch.destroy();
    if (wal === null || wal.walStatus === 'lost') {
      this.#lost = new WalrelayError(
        'SLOT_LOST',
        `the slot ${this.#slot} was ${wal === null ? 'dropped' : 'invalidated (it kept more WAL than max_slot_wal_keep_size)'} ` +
          'while the snapshot was taken',
        {
          hint:
            'Raise max_slot_wal_keep_size for the time of the snapshot, then run `walrelay init --snapshot` again: it makes a ' +
            'new slot and skips what stands.',
        },
      );
      return;
    }
    this.#retainedBytes = wal.retainedBytes;
    const state = this.#budget.look({ atMs: performance.now(), ...wal });
    if (state.hasChanged && state.level !== 'ok') this.#tell(wal, `: ${state.reason}`);
    else if (performance.now() - this.#toldAtMs >= TOLD_INTERVAL_MS) this.#tell(wal, '');
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#isDisposed = true;
    this.#watch.destroy();
  }

  #tell({ retainedBytes, safeBytes }: SlotWal, reason: string): void {
    this.#toldAtMs = performance.now();
    const safe = safeBytes === null ? '' : `, ${mebibytes(safeBytes)} more until it is lost`;
    this.#told(`the slot keeps ${mebibytes(retainedBytes ?? 0)} of WAL${safe}${reason}`);
  }
}

function mebibytes(bytes: number): string {
  return `${Math.max(0, Math.round(bytes / 1024 / 1024)).toLocaleString('en-US')} MiB`;
}

const LOOK_INTERVAL_MS = 2000;
const TOLD_INTERVAL_MS = 30_000;
