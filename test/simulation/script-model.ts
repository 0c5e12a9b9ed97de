import { unpack } from '../unit/sink/message-pack.ts';

/**
 * What the Lua scripts of src/sink do, in TypeScript, on a Redis that is three maps. The simulation runs this; that it answers
 * and writes what the real scripts do on a real Redis is what test/integration/script-model.test.ts compares.
 */
export interface RedisState {
  readonly hashes: Map<string, Map<string, string>>;
  readonly streams: Map<string, StreamEntry[]>;
  /** Keys of a type that is neither. */
  readonly others: Set<string>;
}

/** Field names with their values. */
export type StreamEntry = Readonly<Record<string, string>>;

/** An error reply. */
export class Refusal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Reply = string | number | null | readonly Reply[];

export interface ScriptCall {
  readonly state: RedisState;
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
  /** Why Redis takes no writes at the moment. */
  readonly writeRefusal: string | null;
}

export function emptyState(): RedisState {
  return { hashes: new Map(), streams: new Map(), others: new Set() };
}

export function appendScript(call: ScriptCall): Reply {
  const lane = checkHolder(call);
  const { state, keys, args, writeRefusal } = call;
  const watermark = lane.get('watermark') as string;
  const previous = String(args[2]);
  if (watermark < previous) throw new Refusal(`GAP the watermark is ${watermark}`);
  const values = unpack(args[5] as Buffer) as (Buffer | number | null)[];
  const count = Number(args[4]);
  const isResent = watermark !== previous;
  let appended = 0;
  let skipped = 0;
  let reached: string | null = null;
  let refusal: string | null = null;
  for (let index = 0; index < count; index += 1) {
    const event = values.slice(index * 9, index * 9 + 9);
    const position = positionOf(event);
    if (isResent && position <= watermark) {
      skipped += 1;
      continue;
    }
    const key = keys[Math.abs(Number(event[0])) - 1] as string;
    if (writeRefusal !== null) refusal = writeRefusal;
    else if (state.others.has(key) || state.hashes.has(key)) refusal = WRONGTYPE;
    if (refusal !== null) break;
    const entry: Record<string, string> = {};
    ENTRY_NAMES.forEach((name, at) => {
      const value = event[at + 1] ?? null;
      if (value !== null) entry[name] = String(value);
    });
    const stream = state.streams.get(key);
    if (stream === undefined) state.streams.set(key, [entry]);
    else stream.push(entry);
    appended += 1;
    reached = position;
  }
  if (reached !== null) lane.set('watermark', reached);
  return refusal === null ? [appended, skipped] : [appended, skipped, refusal];
}

export function floorScript(call: ScriptCall): Reply {
  const lane = checkHolder(call);
  const floor = lane.get('floor');
  const next = String(call.args[2]);
  if (floor === undefined || floor < next) write(call, () => lane.set('floor', next));
  return 'OK';
}

export function fenceScript(call: ScriptCall): Reply {
  const lane = requireLane(call);
  const epoch = lane.get('epoch');
  if (epoch === undefined) throw new Refusal('NOLANE the lane state is gone');
  if (epoch !== String(call.args[0])) throw new Refusal(`EPOCH the lane is in epoch ${epoch}`);
  write(call, () => {
    lane.set('fence', String(Number(lane.get('fence') ?? 0) + 1));
    lane.set('holder', String(call.args[1]));
  });
  return [...lane].flat();
}

export function annotateScript(call: ScriptCall): Reply {
  const lane = checkHolder(call);
  write(call, () => {
    for (let at = 2; at < call.args.length; at += 2) lane.set(String(call.args[at]), String(call.args[at + 1]));
  });
  return 'OK';
}

function requireLane({ state, keys }: ScriptCall): Map<string, string> {
  const key = keys[0] as string;
  if (state.others.has(key) || state.streams.has(key)) throw new Refusal(WRONGTYPE);
  const lane = state.hashes.get(key);
  if (lane === undefined) throw new Refusal('NOLANE the lane state is gone');
  return lane;
}

function checkHolder(call: ScriptCall): Map<string, string> {
  const lane = requireLane(call);
  const [epoch, fence] = call.args.map(String);
  if (lane.get('epoch') === undefined) throw new Refusal('NOLANE the lane state is gone');
  if (lane.get('epoch') !== epoch) throw new Refusal(`EPOCH the lane is in epoch ${lane.get('epoch')}`);
  if (lane.get('fence') !== fence) throw new Refusal(`FENCED by session ${lane.get('fence')}`);
  return lane;
}

function write({ writeRefusal }: ScriptCall, run: () => void): void {
  if (writeRefusal !== null) throw new Refusal(writeRefusal);
  run();
}

/** Sixteen digits of commit LSN, twelve of ordinal: of one width, so that texts compare as numbers do. */
function positionOf(event: readonly (Buffer | number | null)[]): string {
  const [high = '', low = ''] = String(event[6]).split('/');
  return high.padStart(8, '0') + low.padStart(8, '0') + Number(String(event[7])).toString(16).toUpperCase().padStart(12, '0');
}

export const WRONGTYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
const ENTRY_NAMES = ['id', 'type', 'aggregate_type', 'aggregate_id', 'payload', 'lsn', 'seq', 'committed_at'];
