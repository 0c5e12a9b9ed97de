import { readEntries } from '../support/exactness.ts';
import type { Scene } from './scene.ts';
import type { Tally } from './tally.ts';

/**
 * For a run whose oracle can't decode any more, its slot or its publication gone: from here on the table is the
 * truth, by id. What stood in the streams before the trouble is proved with the oracle first.
 */
export class OnceCheck {
  readonly #scene: Scene;
  readonly #tally: Tally;
  readonly #before: ReadonlySet<string>;

  private constructor(scene: Scene, tally: Tally, before: ReadonlySet<string>) {
    this.#scene = scene;
    this.#tally = tally;
    this.#before = before;
  }

  /** Everything committed by now is confirmed, and stands in the streams exactly. */
  static async begin(scene: Scene, tally: Tally): Promise<OnceCheck> {
    await scene.stopWorkloads();
    await scene.outbox.waitUntilConfirmed(120_000);
    await scene.expectExact();
    return new OnceCheck(scene, tally, new Set(await streamIds(scene)));
  }

  /** No entry twice, none that was not committed, and none gone of those that stood there; nor of `more`. */
  async end(more: readonly string[] = [], table = 'outbox'): Promise<void> {
    const rows = await this.#scene.outbox.query<{ id: string }>(`SELECT id FROM ${table}`);
    const committed = new Set(rows.map(({ id }) => id));
    const seen = new Set<string>();
    let duplicated = 0;
    let foreign = 0;
    for (const id of await streamIds(this.#scene)) {
      if (seen.has(id)) duplicated += 1;
      // Producers delete old rows.
      if (!committed.has(id) && !this.#before.has(id)) foreign += 1;
      seen.add(id);
    }
    const lost = [...this.#before, ...more].filter((id) => !seen.has(id)).length;
    this.#tally.events += seen.size - this.#before.size;
    this.#tally.lost += lost;
    this.#tally.duplicated += duplicated;
    this.#tally.altered += foreign;
    if (lost + duplicated + foreign > 0)
      throw new Error(`${lost} events missing, ${duplicated} twice, ${foreign} that the table does not have`);
  }
}

async function streamIds(scene: Scene): Promise<string[]> {
  const streams = await readEntries(scene.outbox.redis, scene.outbox.name);
  return [...streams.values()].flat().map(({ id }) => id);
}
