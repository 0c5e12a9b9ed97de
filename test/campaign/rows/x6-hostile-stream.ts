import { type Lsn, readLsn, ZERO_LSN } from '../../../src/core/lsn.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import { FrameReader } from '../../support/protocol-points.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const COPY_DATA = 0x64; // 'd'
const XLOG_DATA = 0x77; // 'w'
/** CopyData's header and XLogData's: where pgoutput's message begins. */
const MESSAGE_AT = 5 + 25;
const BEGIN = 0x42; // 'B'
const INSERT = 0x49; // 'I'
/** Kind, relation, 'N', number of columns: where the first column's kind stands. */
const FIRST_COLUMN = 8;

type Damage = (frame: Buffer) => Buffer;

/** Each is done to the first Insert that comes by. */
const DAMAGES: Readonly<Record<string, Damage>> = {
  'an unchanged-toast column in an Insert': (frame) => replaced(frame, MESSAGE_AT + FIRST_COLUMN, 0x75),
  'a column of no known kind': (frame) => replaced(frame, MESSAGE_AT + FIRST_COLUMN, 0x21),
  'a message of an unknown kind': (frame) => replaced(frame, MESSAGE_AT, 0x21),
  'an unknown message beside XLogData': (frame) => replaced(frame, 5, 0x21),
  'a short message': (frame) => {
    const short = Buffer.from(frame.subarray(0, frame.length - 3));
    short.writeUInt32BE(short.length - 1, 1);
    return short;
  },
  'a relation that was never described': (frame) => {
    const changed = Buffer.from(frame);
    changed.writeUInt32BE(0xdead_beef, MESSAGE_AT + 1);
    return changed;
  },
};

export const rows: readonly Row[] = [
  {
    id: 'X6',
    fault: 'the stream holds what pgoutput never sends: unknown bytes, short messages',
    must: 'HALT',
    runs: 1,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      for (const [what, damage] of Object.entries(DAMAGES)) {
        const damaged = new DamagedStream(scene, damage);
        const daemon = await scene.startStreaming();
        scene.startWorkload({ bigEvery: 0 });
        await waitForEvents(daemon, 20);
        context.fault(what);
        damaged.arm();
        await daemon.exited;
        await scene.expectHalt(daemon, ['PG_PROTOCOL'], { isAgain: false, notPast: damaged.commitLsn });
        scene.links.postgres.tap = null;
      }
      await scene.settle(await scene.startStreaming());
    },
  },
];

/** Damages one Insert on its way to the relay, in a stream that is real otherwise. */
class DamagedStream {
  /** Of the transaction that was damaged; nothing may be confirmed past it. */
  commitLsn: Lsn = ZERO_LSN;
  #isArmed = false;

  constructor(scene: Scene, damage: Damage) {
    scene.links.postgres.tap = () => {
      const frames = new FrameReader({ hasStartup: false });
      return {
        onDownstream: (chunk) => Buffer.concat(frames.push(chunk).map((frame) => this.#pass(frame, damage))),
      };
    };
  }

  arm(): void {
    this.#isArmed = true;
  }

  #pass(frame: Buffer, damage: Damage): Buffer {
    if (frame[0] !== COPY_DATA || frame[5] !== XLOG_DATA) return frame;
    if (frame[MESSAGE_AT] === BEGIN && this.#isArmed) this.commitLsn = readLsn(frame, MESSAGE_AT + 1);
    if (frame[MESSAGE_AT] !== INSERT || this.commitLsn === ZERO_LSN || !this.#isArmed) return frame;
    this.#isArmed = false;
    return damage(frame);
  }
}

function replaced(frame: Buffer, at: number, byte: number): Buffer {
  const changed = Buffer.from(frame);
  changed[at] = byte;
  return changed;
}
