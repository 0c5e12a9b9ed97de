import { LANE_VERSION } from '../../src/sink/append-script.ts';
import type { PackedShapes } from '../../src/sink/packed-shapes.ts';
import { NATIVE_SHAPES } from '../support/native-outbox.ts';
import { unpack } from '../unit/sink/message-pack.ts';

/**
 * What the Lua scripts of src/sink do, in TypeScript, on a Redis that is three maps. The simulation runs this; that it answers
 * and writes what the real scripts do on a real Redis is what test/integration/script-model.test.ts compares.
 */
export interface RedisState {
  readonly hashes: Map<string, Map<string, string>>;
  readonly streams: Map<string, StreamEntry[]>;
  /** Keys of a type that is neither; one that is a stream, too, has had its last ID. */
  readonly others: Set<string>;
}

/** Field names with their values. */
export type StreamEntry = Readonly<Record<string, string>>;

/** An error reply. */
export class Refusal extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'ReplyError';
  }
}

export type Reply = string | number | null | readonly Reply[];

export interface ScriptCall {
  readonly state: RedisState;
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
  /** Why Redis takes no writes at the moment. */
  readonly writeRefusal: string | null;
  /** Set when something was written: a script that only looked is nothing to wait for. */
  isWritten?: boolean;
  /** Set when Redis refused an event. */
  isRefused?: boolean;
}

export function emptyState(): RedisState {
  return { hashes: new Map(), streams: new Map(), others: new Set() };
}

/** The append script that is generated from these shapes. */
export function appendScriptOf(shapes: PackedShapes): (call: ScriptCall) => Reply {
  return function append(call) {
    const lane = checkHolder(call);
    const { state, keys, args, writeRefusal } = call;
    const watermark = lane.get('watermark') as string;
    const previous = String(args[2]);
    if (watermark < previous) throw new Refusal(`GAP the watermark is ${watermark}`);
    const values = unpack(args[5] as Buffer) as PackedValue[];
    const count = Number(args[4]);
    const isResent = watermark !== previous;
    let appended = 0;
    let skipped = 0;
    let reached: string | null = null;
    let refusal: string | null = null;
    for (let index = 0; index < count; index += 1) {
      const event = values.slice(index * shapes.stride, (index + 1) * shapes.stride);
      const position = positionOf(event);
      if (isResent && position <= watermark) {
        skipped += 1;
        continue;
      }
      const code = Math.abs(Number(event[0]));
      const key = keys[(code % 2048) - 1] as string;
      if (writeRefusal !== null) refusal = writeRefusal;
      else if (state.others.has(key) && state.streams.has(key)) refusal = EXHAUSTED;
      else if (state.others.has(key) || state.hashes.has(key)) refusal = WRONGTYPE;
      if (refusal !== null) break;
      const entry = entryOf(shapes, Math.floor(code / 2048), event);
      const stream = state.streams.get(key);
      if (stream === undefined) state.streams.set(key, [entry]);
      else stream.push(entry);
      appended += 1;
      reached = position;
    }
    if (reached !== null) {
      call.isWritten = true;
      lane.set('watermark', reached);
    }
    if (refusal !== null) call.isRefused = true;
    return refusal === null ? [appended, skipped] : [appended, skipped, refusal];
  };
}

/** The one of the usual outbox. */
export const appendScript = appendScriptOf(NATIVE_SHAPES);

type PackedValue = Buffer | number | null;

function entryOf(
  { shapes, headValues }: PackedShapes,
  number: number,
  event: readonly PackedValue[],
): StreamEntry {
  const shape = shapes[number];
  if (shape === undefined) throw new Refusal('ERR an event of an unknown shape');
  const entry: Record<string, string> = {};
  if (shape.isLoose) {
    const list = (unpack(event[headValues] as Buffer) as Buffer[]).map(String);
    for (let at = 0; at + 1 < list.length; at += 2) entry[list[at] as string] = list[at + 1] as string;
    return entry;
  }
  for (const { name, nameValue, filledBy } of shape.fields) {
    let value: PackedValue | string;
    if (filledBy === 'lsn') value = event[1] ?? null;
    else if (filledBy === 'seq') value = event[2] ?? null;
    else value = 'constant' in filledBy ? filledBy.constant : (event[headValues + filledBy.value] ?? null);
    // A field whose value is NULL is left out.
    if (value !== null)
      entry[nameValue === undefined ? name : String(event[headValues + nameValue])] = String(value);
  }
  return entry;
}

export function floorScript(call: ScriptCall): Reply {
  const lane = checkHolder(call);
  const watermark = lane.get('watermark') as string;
  if (watermark < String(call.args[3])) throw new Refusal(`GAP the watermark is ${watermark}`);
  const floor = lane.get('floor');
  const next = String(call.args[2]);
  write(call, () => lane.set('floor', floor === undefined || floor < next ? next : floor));
  if (call.args.length > 4) write(call, () => setPairs(lane, call.args.slice(4)));
  return 'OK';
}

export function fenceScript(call: ScriptCall): Reply {
  const lane = requireEpoch(call);
  const fence = Math.max(Number(lane.get('fence')) + 1, Number(call.args[2]));
  write(call, () => setPairs(lane, ['fence', String(fence), 'holder', String(call.args[1])]));
  return [...lane].flat();
}

export function annotateScript(call: ScriptCall): Reply {
  const lane = checkHolder(call);
  write(call, () => setPairs(lane, call.args.slice(2)));
  return 'OK';
}

export function openLaneScript(call: ScriptCall): Reply {
  const { state, keys, args } = call;
  const key = keys[0] as string;
  requireHash(call);
  const [epoch, fence, holder, ...fresh] = args.map(String) as [string, string, string, ...string[]];
  const lane = state.hashes.get(key);
  if (lane !== undefined && lane.get('epoch') !== epoch)
    throw new Refusal(`EPOCH the lane is in epoch ${lane.get('epoch')}`);
  if (lane !== undefined && Number(lane.get('fence')) >= Number(fence))
    return ['FENCE', lane.get('fence') as string];
  const opened = lane ?? new Map<string, string>();
  write(call, () => {
    state.hashes.set(key, opened);
    if (lane === undefined) {
      setPairs(opened, ['v', LANE_VERSION, 'epoch', epoch]);
      setPairs(
        opened,
        ['watermark', 'floor', 'system_id', 'timeline'].flatMap((name, at) => [name, fresh[at] as string]),
      );
    }
    setPairs(opened, ['fence', fence, 'holder', holder]);
  });
  return [...opened].flat();
}

export function listLaneScript(call: ScriptCall): Reply {
  const lane = checkHolder(call);
  const field = String(call.args[2]);
  // Redis refuses the command, also where it would change nothing.
  if (call.writeRefusal !== null) throw new Refusal(call.writeRefusal);
  if (lane.has(field)) return 0;
  write(call, () => lane.set(field, ''));
  return 1;
}

function setPairs(lane: Map<string, string>, pairs: readonly (string | Buffer)[]): void {
  for (let at = 0; at + 1 < pairs.length; at += 2) lane.set(String(pairs[at]), String(pairs[at + 1]));
}

function requireHash({ state, keys }: ScriptCall): void {
  const key = keys[0] as string;
  if (state.others.has(key) || state.streams.has(key)) throw new Refusal(WRONGTYPE);
}

function requireEpoch(call: ScriptCall): Map<string, string> {
  requireHash(call);
  const lane = call.state.hashes.get(call.keys[0] as string);
  const epoch = lane?.get('epoch');
  if (lane === undefined || epoch === undefined) throw new Refusal('NOLANE the lane state is gone');
  if (epoch !== String(call.args[0])) throw new Refusal(`EPOCH the lane is in epoch ${epoch}`);
  return lane;
}

function checkHolder(call: ScriptCall): Map<string, string> {
  const lane = requireEpoch(call);
  const fence = lane.get('fence') as string;
  const own = String(call.args[1]);
  if (fence === own) return lane;
  if (Number(fence) < Number(own)) throw new Refusal(`GAP the fence went back to ${fence}`);
  throw new Refusal(`FENCED by session ${fence}`);
}

function write(call: ScriptCall, run: () => void): void {
  if (call.writeRefusal !== null) throw new Refusal(call.writeRefusal);
  call.isWritten = true;
  run();
}

/** Sixteen digits of commit LSN, twelve of ordinal: of one width, so that texts compare as numbers do. */
function positionOf(event: readonly PackedValue[]): string {
  const [high = '', low = ''] = String(event[1]).split('/');
  return (
    high.padStart(8, '0') +
    low.padStart(8, '0') +
    Number(String(event[2])).toString(16).toUpperCase().padStart(12, '0')
  );
}

export const WRONGTYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
const EXHAUSTED = 'ERR The stream has exhausted the last possible ID, unable to add more items';
