import { createHash } from 'node:crypto';
import { ANNOTATE_SCRIPT, FENCE_SCRIPT, FLOOR_SCRIPT } from '../../src/sink/append-script.ts';
import { LIST_LANE_SCRIPT, OPEN_LANE_SCRIPT } from '../../src/sink/cluster-script.ts';
import type { Link } from './link.ts';
import {
  annotateScript,
  appendScript,
  emptyState,
  fenceScript,
  floorScript,
  listLaneScript,
  openLaneScript,
  type RedisState,
  Refusal,
  type Reply,
  type ScriptCall,
} from './script-model.ts';
import { NATIVE_APPENDING } from '../support/native-outbox.ts';

/**
 * A Redis server. It keeps a log of all that was written, so that a crash or the promotion of a replica can take back
 * the end of it: entries, watermark, floor and fence together, as they were written together.
 */
export class RedisNode {
  readonly name: string;
  state: RedisState;
  isUp = true;
  /** Why writes are refused. */
  writeRefusal: string | null = null;
  /** The next write is refused, for this reason. */
  refusedOnce: string | null = null;
  /** Nothing more comes to the disk, or to the replicas. */
  isDiskStuck = false;
  /** One more with every start: a connection belongs to one life of the server. */
  life = 1;
  /** So many of the writes are on the disk, or on the replicas: never lost. */
  safeCount = 1;
  readonly #isCluster: boolean;
  readonly #slots: () => Reply;
  readonly #observer: RedisObserver;
  #log: LoggedWrite[];
  readonly #scripts = new Set<string>();
  #safe: { readonly count: number; readonly state: RedisState } | null = null;
  #oddAnswer: string | null = null;
  /** Connections that WAIT or WAITAOF blocks. */
  readonly #waiting = new Map<Link, Waiting>();
  readonly #lastWrite = new Map<Link, number>();

  constructor(options: RedisNodeOptions) {
    this.name = options.name;
    this.#isCluster = options.isCluster;
    this.#slots = options.slots;
    this.#observer = options.observer;
    this.#log = [{ atMs: 0, apply: (state) => copyInto(state, options.seed) }];
    this.state = this.#stateAfter(1);
  }

  get writes(): number {
    return this.#log.length;
  }

  /** When the first write was made that a loss down to `kept` takes back; null when it takes none. */
  firstLostMs(kept: number): number | null {
    return this.#log[kept]?.atMs ?? null;
  }

  isBlocked(link: Link): boolean {
    return this.#waiting.has(link);
  }

  get isWaitedFor(): boolean {
    return this.#waiting.size > 0;
  }

  /** The next command is answered with this, after it has been carried out. */
  answerOnceWith(text: string | null): void {
    this.#oddAnswer = text;
  }

  /** What is safe on the disk or on the replicas. Asked often, changes seldom. */
  get safeState(): RedisState {
    if (this.#safe?.count !== this.safeCount)
      this.#safe = { count: this.safeCount, state: this.#stateAfter(this.safeCount) };
    return this.#safe.state;
  }

  /** What stood there after the first `count` writes. */
  #stateAfter(count: number): RedisState {
    const state = emptyState();
    for (const write of this.#log.slice(0, count)) write.apply(state);
    return state;
  }

  /** Down at once. What was written last is lost: only the first `kept` writes are there again. */
  crash(kept: number): void {
    this.#observer.lifeEnds(this);
    this.isUp = false;
    this.life += 1;
    this.#scripts.clear();
    this.#waiting.clear();
    this.#lastWrite.clear();
    this.#oddAnswer = null;
    this.#log = this.#log.slice(0, kept);
    // What a start has loaded is on its disk.
    this.safeCount = kept;
    this.#safe = null;
    this.state = this.#stateAfter(kept);
  }

  /** The disk, or the replicas, have come to the end of the log. */
  sync(): void {
    this.safeCount = this.#log.length;
    for (const [link, waiting] of this.#waiting) {
      this.#waiting.delete(link);
      waiting.answer(waiting.enough);
    }
  }

  /** WAIT and WAITAOF give up and say how many there are. */
  expireWaits(nowMs: number): void {
    for (const [link, waiting] of this.#waiting) {
      if (waiting.untilMs > nowMs) continue;
      this.#waiting.delete(link);
      waiting.answer(waiting.short);
    }
  }

  execute(
    link: Link,
    nowMs: number,
    name: string,
    args: readonly (string | Buffer)[],
    answer: (reply: Reply | Refusal) => void,
  ): void {
    let reply: Reply | Refusal | null;
    try {
      reply = name.startsWith('WAIT')
        ? this.#wait(link, nowMs, name, args, answer)
        : this.#run(link, nowMs, name, args);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      reply = error;
    }
    const odd = this.#oddAnswer;
    this.#oddAnswer = null;
    if (odd !== null) answer(new Refusal(odd));
    else if (reply !== null) answer(reply);
  }

  /** Null when the answer comes later. */
  #wait(
    link: Link,
    nowMs: number,
    name: string,
    args: readonly (string | Buffer)[],
    answer: (reply: Reply) => void,
  ): Reply | null {
    const isDisk = name === 'WAITAOF';
    const wanted = Number(args[0]);
    const enough: Reply = isDisk ? [1, 0] : wanted;
    const timeoutMs = Number(args[isDisk ? 2 : 1]);
    if (wanted === 0 || (this.#lastWrite.get(link) ?? 0) <= this.safeCount) return enough;
    this.#waiting.set(link, { untilMs: nowMs + timeoutMs, enough, short: isDisk ? [0, 0] : 0, answer });
    return null;
  }

  #run(link: Link, nowMs: number, name: string, args: readonly (string | Buffer)[]): Reply {
    switch (name) {
      case 'PING':
        return 'PONG';
      case 'INFO':
        return this.#isCluster ? INFO.cluster : INFO.standalone;
      case 'CLUSTER':
        return this.#slots();
      case 'CONFIG':
        return [String(args[1]), CONFIG[String(args[1])] ?? ''];
      case 'HGETALL':
        return [...(this.state.hashes.get(String(args[0])) ?? [])].flat();
      case 'HSET': {
        const refusal = this.writeRefusal ?? this.refusedOnce;
        if (refusal !== null) {
          if (refusal === this.refusedOnce) this.refusedOnce = null;
          throw new Refusal(refusal);
        }
        const [key = '', field = '', value = ''] = args.map(String);
        this.poke(nowMs, ({ hashes }) => {
          hashes.set(key, new Map(hashes.get(key)).set(field, value));
        });
        this.#lastWrite.set(link, this.#log.length);
        return 1;
      }
      case 'SCRIPT': {
        const sha = shaOf(String(args[1]));
        this.#scripts.add(sha);
        return sha;
      }
      case 'EVAL': {
        const sha = shaOf(String(args[0]));
        this.#scripts.add(sha);
        return this.#script(link, nowMs, sha, args);
      }
      case 'EVALSHA':
        return this.#script(link, nowMs, String(args[0]), args);
      default:
        throw new Error(
          `the simulated Redis does not know ${name} ${args.map(String).join(' ').slice(0, 80)}`,
        );
    }
  }

  #script(link: Link, nowMs: number, sha: string, args: readonly (string | Buffer)[]): Reply {
    const script = SCRIPTS.get(sha);
    if (script === undefined) throw new Error('a script that the simulation has no model of');
    if (!this.#scripts.has(sha)) throw new Refusal('NOSCRIPT No matching script.');
    const keyCount = Number(args[1]);
    const call = { keys: args.slice(2, 2 + keyCount).map(String), args: args.slice(2 + keyCount) };
    const writeRefusal = this.writeRefusal ?? this.refusedOnce;
    const running: ScriptCall = { ...call, state: this.state, writeRefusal };
    const reply = this.#answer(script.model, running);
    if (running.isWritten === true) {
      this.#write(nowMs, (state) => void script.model({ ...call, state, writeRefusal: null }));
      this.#lastWrite.set(link, this.#log.length);
    }
    this.#observer.ran(this, link, script.name, call.keys[0] as string, reply);
    return reply;
  }

  #answer(model: (call: ScriptCall) => Reply, call: ScriptCall): Reply {
    try {
      const reply = model(call);
      if (call.isRefused === true) this.refusedOnce = null;
      return reply;
    } catch (error) {
      if (error instanceof Refusal && error.message === this.refusedOnce) this.refusedOnce = null;
      throw error;
    }
  }

  /** Somebody else writes. */
  poke(nowMs: number, apply: (state: RedisState) => void): void {
    apply(this.state);
    this.#write(nowMs, apply);
  }

  #write(atMs: number, apply: (state: RedisState) => void): void {
    this.#log.push({ atMs, apply });
  }
}

export interface RedisNodeOptions {
  readonly name: string;
  readonly isCluster: boolean;
  /** The answer to CLUSTER SLOTS. */
  readonly slots: () => Reply;
  readonly observer: RedisObserver;
  /** What stands there at the beginning. */
  readonly seed: RedisState;
}

/** Hears of everything that was written, while it is still the last thing that was. */
export interface RedisObserver {
  ran(node: RedisNode, link: Link, script: ScriptName, key: string, reply: Reply): void;
  /** Called in front of a crash. */
  lifeEnds(node: RedisNode): void;
}

export type ScriptName = 'append' | 'floor' | 'fence' | 'annotate' | 'open lane' | 'list lane';

interface LoggedWrite {
  readonly atMs: number;
  apply(state: RedisState): void;
}

interface Waiting {
  readonly untilMs: number;
  readonly enough: Reply;
  readonly short: Reply;
  readonly answer: (reply: Reply) => void;
}

const shas = new Map<string, string>();

function shaOf(script: string): string {
  let sha = shas.get(script);
  if (sha === undefined) {
    sha = createHash('sha1').update(script).digest('hex');
    shas.set(script, sha);
  }
  return sha;
}

const SCRIPTS = new Map<string, { readonly name: ScriptName; readonly model: (call: ScriptCall) => Reply }>([
  [NATIVE_APPENDING.script.sha, { name: 'append', model: appendScript }],
  [shaOf(FLOOR_SCRIPT), { name: 'floor', model: floorScript }],
  [shaOf(FENCE_SCRIPT), { name: 'fence', model: fenceScript }],
  [shaOf(ANNOTATE_SCRIPT), { name: 'annotate', model: annotateScript }],
  [shaOf(OPEN_LANE_SCRIPT), { name: 'open lane', model: openLaneScript }],
  [shaOf(LIST_LANE_SCRIPT), { name: 'list lane', model: listLaneScript }],
]);

const INFO = { standalone: infoOf('standalone'), cluster: infoOf('cluster') };

function infoOf(mode: string): string {
  return [
    'redis_version:7.2.4',
    `redis_mode:${mode}`,
    'role:master',
    'loading:0',
    'connected_slaves:2',
    'maxmemory_policy:noeviction',
    'aof_enabled:1',
  ].join('\r\n');
}

const CONFIG: Readonly<Record<string, string>> = {
  'maxmemory-policy': 'noeviction',
  save: '',
  'proto-max-bulk-len': '536870912',
};

function copyInto(state: RedisState, from: RedisState): void {
  for (const [key, fields] of from.hashes) state.hashes.set(key, new Map(fields));
  for (const [key, entries] of from.streams) state.streams.set(key, [...entries]);
}
