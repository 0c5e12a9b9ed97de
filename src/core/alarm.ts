/** A sleep that can be cut short. Ringing while nobody sleeps is remembered: an event that arrives then is not missed. */
export class Alarm {
  #isRung = false;
  #wake: (() => void) | null = null;

  get isSleeping(): boolean {
    return this.#wake !== null;
  }

  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  /** Resolves after `ms`, or as soon as it rings; true when it rang. */
  async sleep(ms: number): Promise<boolean> {
    if (!this.#isRung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
    const isRung = this.#isRung;
    this.#isRung = false;
    return isRung;
  }
}
