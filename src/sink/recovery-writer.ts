import type { LaneSet } from './lane-set.ts';
import { LoadedScript } from './loaded-script.ts';
import type { PublishBatch } from './publish-batch.ts';
import { type PublishOutcome, readPublishOutcome } from './publisher.ts';
import { RECOVER_SCRIPT } from './recovery-script.ts';
import type { RedisNodes } from './redis-nodes.ts';

/** Appends rows to streams whose lanes are held under the fence of a recovery. */
export class RecoveryWriter {
  readonly #lanes: LaneSet;

  private constructor(lanes: LaneSet) {
    this.#lanes = lanes;
  }

  /** `lanes`: after their fence was raised. */
  static async open(nodes: RedisNodes, lanes: LaneSet): Promise<RecoveryWriter> {
    for (const node of nodes.writers) await RECOVER.load(node);
    return new RecoveryWriter(lanes);
  }

  /**
   * Appends a batch whose streams are all of one lane. Rejects when Redis took nothing of it, or when nobody knows what it
   * took: the next recovery finds that by the ids.
   */
  async append(
    batch: PublishBatch,
    options: { readonly at: Date; readonly idOf: (event: number) => string },
  ): Promise<PublishOutcome> {
    const lane = await this.#lanes.heldLane(batch.streamOf(0));
    const { count, packed } = batch.seal();
    const reply = await lane.runOnStreams('a batch', RECOVER, batch.keys, [
      count,
      packed,
      options.at.toISOString(),
    ]);
    return readPublishOutcome(reply, batch, options.idOf);
  }
}

const RECOVER = new LoadedScript(RECOVER_SCRIPT);
