import { loadSettings } from '../../src/config/load-settings.ts';
import type { WalrelayError } from '../../src/core/walrelay-error.ts';
import { componentLogger, createLogger } from '../../src/ops/logger.ts';
import { RelayMetrics } from '../../src/ops/metrics.ts';
import { Relay } from '../../src/relay/relay.ts';
import type { Env, LogLine } from './cli.ts';

/** A relay inside of the test's own process: starts in no time, for tests that need hundreds of them. */
export class RelayInProcess implements AsyncDisposable {
  readonly log: LogLine[] = [];
  /** The log as it was written. */
  text = '';
  /** What ended it: null after a stop that was asked for. */
  readonly ended: Promise<WalrelayError | null>;
  readonly #relay: Relay;
  readonly #watchers = new Set<() => void>();

  private constructor(env: Env) {
    const write = (line: string): void => {
      this.text += line;
      this.log.push(JSON.parse(line) as LogLine);
      for (const look of this.#watchers) look();
    };
    this.#relay = new Relay({
      settings: loadSettings({ env, flags: {}, readFile: () => '' }),
      logger: componentLogger(createLogger({ level: 'trace', destination: { write } }), 'relay'),
      metrics: new RelayMetrics({ version: 'test' }),
      holder: 'walrelay in a test',
      random: () => 0,
    });
    this.ended = this.#relay.run().then(
      () => null,
      (error: WalrelayError) => error,
    );
  }

  static start(env: Env): RelayInProcess {
    return new RelayInProcess(env);
  }

  /** Resolves with the first line from `since` lines on that `isIt`, or with null when the relay ends before. */
  async line(isIt: (line: LogLine) => boolean, since = 0): Promise<LogLine | null> {
    const found = new Promise<LogLine>((resolve) => {
      const look = (): void => {
        const line = this.log.slice(since).find(isIt);
        if (line === undefined) return;
        this.#watchers.delete(look);
        resolve(line);
      };
      this.#watchers.add(look);
      look();
    });
    return await Promise.race([found, this.ended.then(() => null)]);
  }

  /**
   * Resolves when the newest session streams, or the relay has ended. A relay that is stopped while a session connects
   * leaves a log-in behind that arrives in the next one's time.
   */
  async settled(): Promise<void> {
    const ended = this.log.findLastIndex(({ msg }) => msg === 'session ended; a new one follows');
    await this.line(({ msg }) => msg === 'streaming', ended + 1);
  }

  async stop(): Promise<WalrelayError | null> {
    this.#relay.requestStop();
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
