import type { FaultProxy } from './fault-proxy.ts';
import { backendFrame, cString, int16, int32 } from './backend-frame.ts';
import { FrameReader } from './protocol-points.ts';

/** The timeline that the relay believes to see. */
const TIMELINE = 2;

/**
 * Lets a relay believe that Postgres was promoted: the answers to IDENTIFY_SYSTEM and TIMELINE_HISTORY are altered on their
 * way. What it does then, it does to a real Redis.
 */
export class PlayedPromotion {
  isOn = false;

  constructor(proxy: FaultProxy) {
    proxy.tap = (connection) => {
      const backend = new FrameReader({ hasStartup: false });
      const frontend = new FrameReader({ hasStartup: true });
      let isIdentifying = false;
      return {
        onUpstream: (chunk) => {
          const forwarded: Buffer[] = [];
          for (const frame of frontend.push(chunk)) {
            const isQuery = frame[0] === QUERY;
            if (this.isOn && isQuery && frame.includes('TIMELINE_HISTORY')) {
              connection.toClient.write(historyAnswer());
              continue;
            }
            isIdentifying ||= this.isOn && isQuery && frame.includes('IDENTIFY_SYSTEM');
            forwarded.push(frame);
          }
          return Buffer.concat(forwarded);
        },
        onDownstream: (chunk) =>
          Buffer.concat(
            backend.push(chunk).map((frame) => {
              if (!isIdentifying || frame[0] !== DATA_ROW) return frame;
              isIdentifying = false;
              return withTimeline(frame);
            }),
          ),
      };
    };
  }
}

/** The second column, a text of one digit. */
function withTimeline(row: Buffer): Buffer {
  const altered = Buffer.from(row);
  const systemIdBytes = altered.readUInt32BE(7);
  const at = 7 + 4 + systemIdBytes;
  if (altered.readUInt32BE(at) !== 1) throw new Error('a timeline of more than one digit');
  altered.write(String(TIMELINE), at + 4, 'latin1');
  return altered;
}

/** Timeline 1 was left far ahead of everything. */
function historyAnswer(): Buffer {
  return Buffer.concat([
    backendFrame('T', int16(2), column('filename'), column('content')),
    backendFrame(
      'D',
      int16(2),
      text(`0000000${TIMELINE}.history`),
      text('1\t7FFFFFFF/0\tno recovery target\n'),
    ),
    backendFrame('C', cString('TIMELINE_HISTORY')),
    backendFrame('Z', Buffer.from('I')),
  ]);
}

function column(name: string): Buffer {
  const textOid = 25;
  return Buffer.concat([cString(name), int32(0), int16(0), int32(textOid), int16(-1), int32(-1), int16(0)]);
}

function text(value: string): Buffer {
  return Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]);
}

const QUERY = 0x51; // 'Q'
const DATA_ROW = 0x44; // 'D'
