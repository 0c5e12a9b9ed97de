import type { LaneSet } from './lane-set.ts';
import { LoadedScript } from './loaded-script.ts';
import type { PublishBatch } from './publish-batch.ts';
import { type PublishOutcome, readPublishOutcome } from './publisher.ts';
import type { PackedShapes } from './packed-shapes.ts';
import { recoveryScript } from './recovery-script.ts';
import type { RedisNodes } from './redis-nodes.ts';

/** Appends rows to streams whose lanes are held under the fence of a recovery. */
export class RecoveryWriter {
  readonly shapes: PackedShapes;
  readonly #lanes: LaneSet;
  readonly #script: LoadedScript;

  private constructor(lanes: LaneSet, shapes: PackedShapes, script: LoadedScript) {
    this.shapes = shapes;
    this.#lanes = lanes;
    this.#script = script;
  }

  /** `lanes`: after their fence was raised. `mark`: the field that says of each entry what it is, and when it was appended. */
  static async open(
    nodes: RedisNodes,
    lanes: LaneSet,
    { shapes, mark }: { readonly shapes: PackedShapes; readonly mark: string },
  ): Promise<RecoveryWriter> {
    const script = new LoadedScript(recoveryScript(shapes, mark));
    for (const node of nodes.writers) await script.load(node);
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
    const reply = await lane.runOnStreams('a batch', this.#script, batch.keys, [
      count,
      packed,
      options.at.toISOString(),
    ]);
    return readPublishOutcome(reply, batch, options.idOf);
  }
}
