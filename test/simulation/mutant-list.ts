import type { Mutation } from './bundle.ts';

/** A bug that this relay, or another one, has had or could have. */
export interface Mutant {
  readonly name: string;
  readonly mutations: readonly Mutation[];
}

const STREAMING = 'src/relay/streaming.ts';
const PUMP = 'src/relay/pump.ts';
const OUTLET = 'src/relay/outlet.ts';
const TRACKER = 'src/confirm/confirm-tracker.ts';
const GUARD = 'src/relay/history-guard.ts';
/** The scripts run on Redis; what they do is the model's, which a test compares with them. */
const SCRIPT = 'test/simulation/script-model.ts';

export const MUTANTS: readonly Mutant[] = [
  mutant('confirm plus one', 'src/source/status-update.ts', [
    'message.writeBigUInt64BE(update.confirmedLsn, 9);',
    'message.writeBigUInt64BE(update.confirmedLsn + 1n, 9);',
  ]),
  mutant('acknowledge what was received', STREAMING, [
    'const { receivedLsn, confirmedLsn } = this.#tracker;',
    'const { receivedLsn, receivedLsn: confirmedLsn } = this.#tracker;',
  ]),
  mutant('confirm before the floor is noted', STREAMING, [
    'await lanes.noteFloor(floorLsn, this.#tracker.confirmedLsn);\n      this.#tracker.noteFloor(floorLsn, performance.now());',
    `this.#tracker.noteFloor(floorLsn, performance.now());
      if (this.#tracker.release(performance.now())) this.#sendStatus({ isReplyRequested: false });
      await lanes.noteFloor(floorLsn, this.#tracker.confirmedLsn);`,
  ]),
  mutant('a keepalive counts inside of a transaction', STREAMING, [
    'if (!this.#decoder.isInTransaction) this.#pump.keepalive(walEndLsn);',
    'this.#pump.keepalive(walEndLsn);',
  ]),
  mutant('the replay window is ignored', TRACKER, [
    'untilMs: nowMs + this.#replayWindowMs',
    'untilMs: nowMs',
  ]),
  mutant('any stop ends the replay window', STREAMING, [
    "if (reason.code === 'PG_SHUTDOWN') this.#tracker.releaseAll();",
    'this.#tracker.releaseAll();',
  ]),
  mutant('the catalog is not waited for', TRACKER, [
    'const lsn = this.#acceptedLsn < this.#verifiedLsn ? this.#acceptedLsn : this.#verifiedLsn;',
    'const lsn = this.#acceptedLsn;',
    "if (lsn > this.#verifiedLsn) throw broken('floor ahead of verified', lsn, this.#verifiedLsn);",
    '',
  ]),
  mutant('verified up to what is received when the answer comes', STREAMING, [
    'this.#tracker.verify(receivedLsn);',
    'this.#tracker.verify(this.#tracker.receivedLsn);',
  ]),
  mutant('a mark names the batch before its last', PUMP, [
    'if (this.#ordinal > 0) this.#transactionCount += 1;\n    this.#options.tracker.mark(endLsn, this.#batchCount);',
    'this.#options.tracker.mark(endLsn, Math.max(0, this.#batchCount - 1));',
  ]),
  mutant('answers are counted, whichever batch they are for', PUMP, [
    'if (seq !== this.#acceptedCount + 1) {\n      this.#acceptedAhead.add(seq);\n      return;\n    }\n',
    'void seq;\n',
  ]),
  mutant('a refused batch counts as accepted', PUMP, [
    '(error: unknown) => this.#failed(error),',
    '(error: unknown) => void error || this.#accepted(outlet, batch, 0, 0),',
  ]),
  mutant(
    'batches are not chained',
    OUTLET,
    ['this.lastPosition = lane.watermark;', 'this.lastPosition = ORIGIN;'],
    PUMP,
    ['outlet.lastPosition = batch.lastPosition;', ''],
  ),
  mutant('the relay does not skip what is sent again', OUTLET, [
    'this.#isResent = lane.watermark.commitLsn > ORIGIN.commitLsn;',
    'this.#isResent = false;',
  ]),
  mutant('ordinals go on from one transaction to the next', PUMP, [
    'this.#stamp.set(commitLsn, committedAtUs);\n    this.#ordinal = 0;',
    'this.#stamp.set(commitLsn, committedAtUs);',
  ]),
  mutant('a relay without a lane pauses for ever', PUMP, [
    'const queueMax = inFlightBatchesMax * Math.max(1, this.#outlets.length);',
    'const queueMax = inFlightBatchesMax * this.#outlets.length;',
  ]),
  mutant('script: no check of the chain', SCRIPT, [
    'if (watermark < previous) throw new Refusal(`GAP the watermark is ${watermark}`);\n    const values',
    'const values',
  ]),
  mutant('script: no check of the fence', SCRIPT, [
    'if (fence === own) return lane;',
    'if (own !== "") return lane;',
  ]),
  mutant('script: nothing is skipped', SCRIPT, [
    'if (isResent && position <= watermark) {',
    'if (isResent && position === "") {',
  ]),
  mutant('script: the watermark is written before the entries', SCRIPT, [
    'let reached: string | null = null;',
    "let reached: string | null = null;\n  lane.set('watermark', String(args[3]));",
  ]),
  mutant(
    'the watermark is read before the fence is raised; script: nothing is skipped on a single Redis',
    'src/sink/single-lane.ts',
    [
      'const fields = await this.#lane.raiseFence(epoch, holder);',
      'const { watermark = "" } = await this.#lane.readFields();\n    const fields = { ...(await this.#lane.raiseFence(epoch, holder)), watermark };',
    ],
    SCRIPT,
    [
      'if (isResent && position <= watermark) {',
      "if (isResent && position <= watermark && keys[0]?.includes('{') === true) {",
    ],
  ),
  mutant('script: a floor that is there already is not written again', SCRIPT, [
    "write(call, () => lane.set('floor', floor === undefined || floor < next ? next : floor));",
    "if (floor === undefined || floor < next) write(call, () => lane.set('floor', next));",
  ]),
  mutant('a lane that an earlier session noted counts as durable', 'src/sink/cluster-lanes.ts', [
    'this.#notedLsns = notedLsns;\n  }',
    'this.#notedLsns = notedLsns;\n    this.#settledLsn = notedLsns.at(-1) ?? ZERO_LSN;\n  }',
  ]),
  mutant(
    'a stop confirms beside the timer, and a lane counts as durable once it is noted',
    'src/sink/cluster-lanes.ts',
    [
      '    this.#notedLsns = from === -1',
      '    this.#settledLsn = floorLsn;\n    this.#notedLsns = from === -1',
    ],
    STREAMING,
    ['this.#confirmInTurn(reason.code', 'this.#confirm(reason.code'],
  ),
  mutant('nobody waits for disk or replicas', 'src/sink/durability-wait.ts', [
    "while (durability.level !== 'reply') {\n      if",
    "while (durability.level !== 'reply' && this.#stepMs < 0) {\n      if",
  ]),
  mutant('a short count is enough', 'src/sink/durability-wait.ts', [
    'if (local === 1) return;',
    'if (local !== -1) return;',
  ]),
  mutant('no guard for a Redis that is behind', GUARD, [
    'if (confirmedLsn !== null && lane.floorLsn < confirmedLsn) {',
    "if (confirmedLsn !== null && lane.slot === '') {",
  ]),
  mutant('no guard for a lane that is behind', GUARD, [
    'for (const part of lane.parts ?? []) checkPart(part, lane.epoch, confirmedLsn);',
    'for (const part of lane.parts ?? []) if (part.tag === "") checkPart(part, lane.epoch, confirmedLsn);',
  ]),
  mutant('the floor of a lane is not recorded', 'src/sink/cluster-lanes.ts', [
    'fields[FIELD + tag] = notes.add(floorLsn, confirmedLsn);',
    'notes.add(floorLsn, confirmedLsn);',
  ]),
  mutant('no guard for a fork', GUARD, ['if (fork !== null) {', "if (fork !== null && lane.slot === '') {"]),
  mutant('a changed publication is not noticed while events flow', 'src/relay/catalog-guard.ts', [
    'if (publication.identity !== publicationIdentity) {',
    "if (publicationIdentity === '') {",
  ]),
];

type Edit = readonly string[];

/** Pairs of what stands there and what comes instead, for one file or several. */
function mutant(name: string, ...parts: readonly (string | Edit)[]): Mutant {
  const mutations: Mutation[] = [];
  let file = '';
  for (const part of parts) {
    if (typeof part === 'string') file = part;
    else
      for (let at = 0; at + 1 < part.length; at += 2)
        mutations.push({ file, search: part[at] as string, replace: part[at + 1] as string });
  }
  return { name, mutations };
}
