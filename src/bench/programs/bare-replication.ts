import type { Socket } from 'node:net';
import { Client } from 'pg';
import { type Lsn, readLsn, ZERO_LSN } from '../../core/lsn.ts';
import { quoteIdentifier } from '../../source/sql.ts';
import { encodeStatusUpdate } from '../../source/status-update.ts';

export interface BareSlot {
  readonly databaseUrl: string;
  readonly slot: string;
  readonly publication: string;
  readonly applicationName: string;
}

export interface BareHandler {
  /** One pgoutput message of an Insert: `bytes[start, end)`, valid during the call only. */
  insert(bytes: Buffer, start: number, end: number): void;
  /** The bytes that had arrived are used up. */
  chunkEnd(): void;
}

/**
 * The least that can read a slot: connects, streams, hands Inserts over as they came, and answers keepalives without
 * confirming anything. Returns the socket, for whoever has to pause it.
 */
export async function readSlot(
  { databaseUrl, slot, publication, applicationName }: BareSlot,
  handler: BareHandler,
): Promise<Socket> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: applicationName,
    replication: 'database',
  } as never);
  await client.connect();
  const connection = (client as unknown as { connection: WireConnection }).connection;
  const { stream } = connection;
  const parsers = stream.listeners('data') as ((chunk: Buffer) => void)[];
  stream.removeAllListeners('data');
  let walEnd: Lsn = ZERO_LSN;
  const sendStatus = () => {
    connection.sendCopyFromChunk(
      encodeStatusUpdate({
        receivedLsn: walEnd,
        confirmedLsn: ZERO_LSN,
        nowMs: Date.now(),
        isReplyRequested: false,
      }),
    );
  };
  const frame = (bytes: Buffer, offset: number, end: number) => {
    if (bytes[offset] !== COPY_DATA) {
      for (const parse of parsers) parse(bytes.subarray(offset, end));
    } else if (bytes[offset + HEADER_BYTES] === KEEPALIVE) {
      walEnd = readLsn(bytes, offset + HEADER_BYTES + 1);
      if (bytes[end - 1] === 1) sendStatus();
    } else if (bytes[offset + XLOG_MESSAGE] === INSERT) {
      handler.insert(bytes, offset + XLOG_MESSAGE, end);
    }
  };
  let held: Buffer = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    // Only the frame that crosses two reads is copied.
    let offset = 0;
    if (held.length > 0) {
      const bytes = Buffer.concat([held, chunk.subarray(0, missingBytes(held, chunk))]);
      const end = frameEnd(bytes, 0);
      if (end > bytes.length) {
        held = bytes;
        return;
      }
      frame(bytes, 0, end);
      offset = end - held.length;
    }
    for (let end = frameEnd(chunk, offset); end <= chunk.length; end = frameEnd(chunk, offset)) {
      frame(chunk, offset, end);
      offset = end;
    }
    held = Buffer.from(chunk.subarray(offset));
    handler.chunkEnd();
  });
  const started = new Promise<void>((resolve) => connection.once('replicationStart', resolve));
  const name = quoteIdentifier(publication).replaceAll("'", "''");
  const refused = client
    .query(
      `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL 0/0 (proto_version '1', publication_names '${name}')`,
    )
    .then(() => {
      throw new Error('the server ended the stream');
    });
  await Promise.race([started, refused]);
  setInterval(sendStatus, STATUS_INTERVAL_MS);
  return stream;
}

/** Where the frame at `offset` ends; beyond everything while not even its length is there. */
function frameEnd(bytes: Buffer, offset: number): number {
  return bytes.length - offset < HEADER_BYTES
    ? Number.POSITIVE_INFINITY
    : offset + 1 + bytes.readUInt32BE(offset + 1);
}

/** Of the chunk, what completes the frame that was begun; its header may be cut, too. */
function missingBytes(held: Buffer, chunk: Buffer): number {
  const header = Buffer.concat([held.subarray(0, HEADER_BYTES), chunk.subarray(0, HEADER_BYTES)]);
  return frameEnd(header, 0) - held.length;
}

/** The part of pg's client that its types leave out. */
interface WireConnection {
  readonly stream: Socket;
  sendCopyFromChunk(chunk: Buffer): void;
  once(event: 'replicationStart', listener: () => void): void;
}

const HEADER_BYTES = 5;
/** Frame header, then 'w' and three numbers of eight bytes. */
const XLOG_MESSAGE = HEADER_BYTES + 25;
const COPY_DATA = 0x64; // 'd'
const KEEPALIVE = 0x6b; // 'k'
const INSERT = 0x49; // 'I'
const STATUS_INTERVAL_MS = 5000;
