import { createHash } from 'node:crypto';
import {
  ANNOTATE_SCRIPT,
  APPEND_SCRIPT,
  FENCE_SCRIPT,
  FLOOR_SCRIPT,
} from '../../src/sink/append-script.ts';
import type { Link } from './link.ts';
import {
  annotateScript,
  appendScript,
  emptyState,
  fenceScript,
  floorScript,
  type RedisState,
  Refusal,
  type Reply,
  type ScriptCall,
} from './script-model.ts';

/**
 * A Redis server. It keeps a log of all that was written, so that a crash or the promotion of a replica can take back
 * the end of it: entries, watermark, floor and fence together, as they were written together.
 */
export class RedisNode {
  readonly name: string;
  state = emptyState();
  isUp = true;
  /** Why writes are refused, or nothing is answered at all. */
  writeRefusal: string | null = null;
  isLoading = false;
  role: 'master' | 'slave' = 'master';
  /** One more with every start: a connection belongs to one life of the server. */
  life = 1;
  #log: LoggedWrite[] = [];
  readonly #scripts = new Set<string>();
  readonly #observer: RedisObserver;
  #nextReply: string | null = null;

  constructor(name: string, observer: RedisObserver, seed: RedisState) {
    this.name = name;
    this.#observer = observer;
    this.#log.push({ atMs: 0, apply: (state) => copyInto(state, seed) });
    copyInto(this.state, seed);
  }

  get writes(): number {
    return this.#log.length;
  }

  writtenAtMs(index: number): number {
    return this.#log[index]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** The next command is answered with this, after it has been carried out. */
  answerOnceWith(text: string): void {
    this.#nextReply = text;
  }

  forgetOddAnswer(): void {
    this.#nextReply = null;
  }

  /** What stood there after the first `writes` writes. */
  stateAfter(writes: number): RedisState {
    const state = emptyState();
    for (const write of this.#log.slice(0, writes)) write.apply(state);
    return state;
  }

  /** Down at once, with all connections. What was written last is lost: only the first `kept` writes are there again. */
  crash(kept: number): void {
    this.#observer.lifeEnds(this);
    this.isUp = false;
    this.life += 1;
    this.#scripts.clear();
    this.#nextReply = null;
    if (kept < this.#log.length) {
      this.#log = this.#log.slice(0, kept);
      this.state = this.stateAfter(kept);
    }
  }

  /** Throws the Refusal that Redis answers with instead. */
  execute(link: Link, nowMs: number, name: string, args: readonly (string | Buffer)[]): Reply {
    const reply = this.#run(link, nowMs, name, args);
    const other = this.#nextReply;
    this.#nextReply = null;
    if (other !== null) throw new Refusal(other);
    return reply;
  }

  #run(link: Link, nowMs: number, name: string, args: readonly (string | Buffer)[]): Reply {
    if (name === 'PING') return 'PONG';
    if (name === 'INFO') return this.#info();
    if (this.isLoading) throw new Refusal('LOADING Redis is loading the dataset in memory');
    switch (name) {
      case 'CONFIG':
        return [String(args[1]), CONFIG[String(args[1])] ?? ''];
      case 'HGETALL':
        return [...(this.state.hashes.get(String(args[0])) ?? [])].flat();
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
        throw new Error(`the simulated Redis does not know ${name} ${args.map(String).join(' ').slice(0, 80)}`);
    }
  }

  #script(link: Link, nowMs: number, sha: string, args: readonly (string | Buffer)[]): Reply {
    const script = SCRIPTS.get(sha);
    if (script === undefined) throw new Error('a script that the simulation has no model of');
    if (!this.#scripts.has(sha)) throw new Refusal('NOSCRIPT No matching script.');
    const keyCount = Number(args[1]);
    const call: Omit<ScriptCall, 'state' | 'writeRefusal'> = {
      keys: args.slice(2, 2 + keyCount).map(String),
      // The bytes are the sender's own, to be used again.
      args: args.slice(2 + keyCount).map((arg) => (typeof arg === 'string' ? arg : Buffer.from(arg))),
    };
    const { writeRefusal } = this;
    const reply = script.model({ ...call, state: this.state, writeRefusal });
    if (writeRefusal === null) {
      this.#log.push({
        atMs: nowMs,
        apply: (state) => void script.model({ ...call, state, writeRefusal: null }),
      });
    }
    this.#observer.ran(this, link, script.name, call.keys, call.args);
    return reply;
  }

  /** Somebody else writes. */
  poke(nowMs: number, apply: (state: RedisState) => void): void {
    apply(this.state);
    this.#log.push({ atMs: nowMs, apply });
  }

  #info(): string {
    return [
      'redis_version:7.2.4',
      `role:${this.role}`,
      `loading:${this.isLoading ? 1 : 0}`,
      'maxmemory_policy:noeviction',
      'aof_enabled:1',
    ].join('\r\n');
  }
}

export interface RedisObserver {
  ran(
    node: RedisNode,
    link: Link,
    script: ScriptName,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
  ): void;
  lifeEnds(node: RedisNode): void;
}

export type ScriptName = 'append' | 'floor' | 'fence' | 'annotate';

interface LoggedWrite {
  readonly atMs: number;
  apply(state: RedisState): void;
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
  [shaOf(APPEND_SCRIPT), { name: 'append', model: appendScript }],
  [shaOf(FLOOR_SCRIPT), { name: 'floor', model: floorScript }],
  [shaOf(FENCE_SCRIPT), { name: 'fence', model: fenceScript }],
  [shaOf(ANNOTATE_SCRIPT), { name: 'annotate', model: annotateScript }],
]);

const CONFIG: Readonly<Record<string, string>> = {
  'maxmemory-policy': 'noeviction',
  save: '',
  'proto-max-bulk-len': '536870912',
};

function copyInto(state: RedisState, from: RedisState): void {
  for (const [key, fields] of from.hashes) state.hashes.set(key, new Map(fields));
  for (const [key, entries] of from.streams) state.streams.set(key, [...entries]);
}
