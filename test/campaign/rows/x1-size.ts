import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const LARGE = { WALRELAY_EVENT_BYTES_MAX: '128MiB', WALRELAY_MEMORY_BUDGET_BYTES: '300MiB' };

export const rows: readonly Row[] = [
  {
    id: 'X1',
    fault: 'a payload of 64 MB, larger than the limit; then larger than what Redis takes',
    must: 'HALT',
    runs: 1,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis });
      await scene.outbox.insert();
      await insertLarge(scene, 64_000_000);
      await scene.outbox.insert();
      context.fault('64 MB');
      await scene.expectHalt(scene.start(), ['EVENT_TOO_LARGE']);
      await expectLength(scene, 1);

      await scene.outbox.redis.config('SET', 'proto-max-bulk-len', '10mb');
      context.fault('proto-max-bulk-len below it');
      await scene.expectHalt(scene.start(LARGE), ['REDIS_LIMIT'], { env: LARGE });
      await expectLength(scene, 1);

      // Lowered behind the back of a relay that streams.
      await scene.outbox.redis.config('SET', 'proto-max-bulk-len', '512mb');
      const daemon = await scene.startStreaming(LARGE);
      await scene.deliverCanary();
      await scene.outbox.redis.config('SET', 'proto-max-bulk-len', '10mb');
      context.fault('proto-max-bulk-len lowered while it streams');
      await insertLarge(scene, 20_000_000);
      await scene.expectHalt(daemon, ['REDIS_LIMIT'], { env: LARGE });
      await scene.outbox.redis.config('SET', 'proto-max-bulk-len', '512mb');
      await scene.settle(await scene.startStreaming(LARGE));
    },
  },
];

async function insertLarge(scene: Scene, bytes: number): Promise<void> {
  await scene.outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     VALUES ('order', '1', 't', jsonb_build_object('x', repeat('y', $1)))`,
    [bytes],
  );
}

/** Everything before the event stands, nothing behind it. */
async function expectLength(scene: Scene, length: number): Promise<void> {
  const found = await scene.outbox.redis.xlen(scene.outbox.stream());
  if (found !== length) throw new Error(`${found} entries in front of the event, not ${length}`);
}
