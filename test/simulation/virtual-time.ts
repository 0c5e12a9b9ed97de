/**
 * The clocks and timers of the simulated processes. While it is installed, `setTimeout`, `performance.now` and `Date.now` belong to
 * whoever is being run by the simulation, and to the real world otherwise.
 */
export interface TimerOwner {
  /** Milliseconds that only go forward, the same for everybody. */
  readonly nowMs: number;
  /** What this host believes the time of day to be: may jump. */
  readonly wallMs: number;
  readonly timers: Set<VirtualTimer>;
}

export class VirtualTimer {
  dueMs: number;
  readonly intervalMs: number | null;
  readonly run: () => void;
  readonly owner: TimerOwner;

  constructor(owner: TimerOwner, delayMs: number, run: () => void, isRepeated: boolean) {
    this.owner = owner;
    this.dueMs = owner.nowMs + Math.max(1, delayMs);
    this.intervalMs = isRepeated ? Math.max(1, delayMs) : null;
    this.run = run;
    owner.timers.add(this);
  }

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  clear(): void {
    this.owner.timers.delete(this);
  }
}

let active: TimerOwner | null = null;

/** Who runs now: timers that are set and clocks that are read are those of this one. */
export function setActive(owner: TimerOwner | null): void {
  active = owner;
}

/** Replaces the clocks and timers of this realm; the result puts the real ones back. */
export function installVirtualTime(): () => void {
  const real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
    dateNow: Date.now,
  };
  const performanceNow = performance.now.bind(performance);
  const clear = (handle: unknown, orElse: (handle: never) => void) => {
    if (handle instanceof VirtualTimer) handle.clear();
    else orElse(handle as never);
  };
  type Callback = (...args: unknown[]) => void;
  Object.assign(globalThis, {
    setTimeout: (run: Callback, ms = 0, ...args: unknown[]) =>
      active === null
        ? real.setTimeout(run, ms, ...args)
        : new VirtualTimer(active, ms, () => run(...args), false),
    setInterval: (run: Callback, ms = 0, ...args: unknown[]) =>
      active === null
        ? real.setInterval(run, ms, ...args)
        : new VirtualTimer(active, ms, () => run(...args), true),
    clearTimeout: (handle: unknown) => clear(handle, real.clearTimeout),
    clearInterval: (handle: unknown) => clear(handle, real.clearInterval),
  });
  Date.now = () => active?.wallMs ?? real.dateNow.call(Date);
  performance.now = () => active?.nowMs ?? performanceNow();
  return () => {
    const { dateNow, ...timers } = real;
    Object.assign(globalThis, timers);
    Date.now = dateNow;
    // The real one is inherited.
    delete (performance as { now?: unknown }).now;
  };
}
