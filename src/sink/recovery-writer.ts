import type { LaneSet } from './lane-set.ts';
import type { PublishBatch } from './publish-batch.ts';
import { type PublishOutcome, readPublishOutcome } from './publisher.ts';
import type { PackedShapes } from './packed-shapes.ts';
import { compileRecoverScript } from './recovery-script.ts';
import type { RedisNodes } from './redis-nodes.ts';
import type { Script } from './script.ts';

/** Appends rows to streams whose lanes are held under the fence of a recovery. */
export class RecoveryWriter {
  readonly shapes: PackedShapes;
  readonly #lanes: LaneSet;
  readonly #script: Script;

  private constructor(lanes: LaneSet, shapes: PackedShapes, script: Script) {
    this.shapes = shapes;
    this.#lanes = lanes;
    this.#script = script;
  }

  /** `lanes`: after their fence was raised. */
  static async open(nodes: RedisNodes, lanes: LaneSet, shapes: PackedShapes): Promise<RecoveryWriter> {
    const script = compileRecoverScript(shapes);
    for (const node of nodes.writers) await node.command('loading a script', 'SCRIPT', 'LOAD', script.text);
    return new RecoveryWriter(lanes, shapes, script);
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
    const reply = await lane.runOnStreams('a batch', this.#script.sha, batch.keys, [
      count,
      packed,
      options.at.toISOString(),
    ]);
    return readPublishOutcome(reply, batch, options.idOf);
  }
}
