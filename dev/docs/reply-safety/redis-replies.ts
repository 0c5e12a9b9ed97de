import type { ErrorCode } from '../../../src/core/error-codes.ts';

/**
 * Every place where the relay awaits an answer of Redis, in the order of a session's life: what is sent, and what holds
 * when the answer is none that it hoped for.
 */
export const REDIS_PLACES = {
  auth: { sent: '`AUTH`', held: 'nothing was sent' },
  select: { sent: '`SELECT`', held: 'nothing was sent' },
  ping: { sent: '`PING`, which proves the connection', held: 'nothing was sent' },
  info: { sent: '`INFO`, for the guards', held: 'nothing was sent' },
  config: { sent: '`CONFIG GET`, for the guards', held: 'nothing was sent' },
  read: { sent: '`HGETALL` of the lane state', held: 'nothing was sent' },
  load: { sent: '`SCRIPT LOAD`', held: 'nothing was sent' },
  fence: {
    sent: '`EVAL`: the fence is raised',
    held: 'the fence may be one higher; the next session raises it again',
  },
  annotate: {
    sent: '`EVAL`: a promotion is noted',
    held: 'the timeline may be noted; the next session notes it again, or finds it',
  },
  names: { sent: '`HGETALL` of the streams whose names come from data', held: 'nothing was sent' },
  name: {
    sent: '`HSET`: the name of a new stream is noted, in front of its first batch',
    held: 'the name may be noted, and the batch behind it may stand; the watermark says so. The next session reads both',
  },
  append: {
    sent: '`EVALSHA`: a batch',
    held: 'all of it stands or nothing, and the watermark says which; its followers are refused by the chain',
  },
  entry: {
    sent: 'the same, one `XADD` in it refused',
    held: 'what was before the event stands, it and what follows does not; the watermark says so',
  },
  floor: {
    sent: '`EVALSHA`: the floor is noted',
    held: 'the floor may be noted; Postgres is told only after an answer',
  },
  wait: {
    sent: '`WAIT`, at the durability `replicas:N`',
    held: 'the floor is noted; Postgres is told only after the count',
  },
} as const;

export type RedisPlace = keyof typeof REDIS_PLACES;

/** What an answer leads to. `goes on`: it is not needed, the session continues. */
export type Expected = ErrorCode | 'goes on';

export interface RedisReply {
  readonly name: string;
  /** When Redis says it. */
  readonly when: string;
  /** As on the wire, without CR LF at the end. `<password>` and `<payload>` stand for the real ones. */
  readonly reply: string;
  readonly code: Expected;
  /** Where it means something else. */
  readonly except?: Partial<Record<RedisPlace, Expected>>;
  /** Why this reaction and no other. */
  readonly why: string;
  /** The tests that provoke it on a real server, `file › test`. */
  readonly real?: readonly string[];
}

/** Refused inside of the script, this is about the one event's stream. */
const ENTRY_IS_POISON = { entry: 'EVENT_REFUSED' } as const;

/** Without CONFIG the guards leave out what only it can tell; INFO has the rest. */
const CONFIG_IS_OPTIONAL = { config: 'goes on' } as const;

export const REDIS_REPLIES: readonly RedisReply[] = [
  {
    name: 'LOADING',
    when: 'started a moment ago',
    reply: '-LOADING Redis is loading the dataset in memory',
    code: 'REDIS_NOT_READY',
    why: 'passes',
    real: ['test/chaos/redis-replies.test.ts › LOADING: the relay waits until the data set is loaded'],
  },
  {
    name: 'BUSY',
    when: 'another client’s script runs for too long',
    reply: '-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    code: 'REDIS_NOT_READY',
    why: 'passes',
    real: [
      'test/chaos/redis-crash.test.ts › busy with a script of another client: the relay waits until it is over',
    ],
  },
  {
    name: 'MASTERDOWN',
    when: 'a replica without its primary',
    reply: "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    code: 'REDIS_NOT_READY',
    why: 'a failover is under way',
    real: [
      'test/chaos/redis-replies.test.ts › MASTERDOWN: the relay waits for a replica that has lost its primary to become one',
    ],
  },
  {
    name: 'CLUSTERDOWN',
    when: 'a cluster without a majority, or with slots that nobody serves',
    reply: '-CLUSTERDOWN The cluster is down',
    code: 'REDIS_NOT_READY',
    why: 'a failover is under way',
  },
  {
    name: 'TRYAGAIN',
    when: 'the keys of a batch are being moved between nodes',
    reply: '-TRYAGAIN Multiple keys request during rehashing of slot',
    code: 'REDIS_NOT_READY',
    why: 'passes',
  },
  {
    name: 'NOREPLICAS',
    when: 'fewer replicas than min-replicas-to-write',
    reply: '-NOREPLICAS Not enough good replicas to write.',
    code: 'REDIS_NOT_READY',
    why: 'replicas come back',
    real: ['test/chaos/redis-replies.test.ts › NOREPLICAS: the relay waits until there are replicas enough'],
  },
  {
    name: 'MISCONF',
    when: 'the last save or AOF write failed, e.g. disk full',
    reply:
      '-MISCONF Redis is configured to save RDB snapshots, but it’s currently unable to persist to disk.',
    code: 'REDIS_NOT_READY',
    why: 'ends with its cause; a restart of the relay mends nothing',
    real: ['test/chaos/redis-replies.test.ts › MISCONF: the relay waits until a snapshot can be saved again'],
  },
  {
    name: 'UNBLOCKED',
    when: 'a waiting command was ended by CLIENT UNBLOCK or a change of roles',
    reply: '-UNBLOCKED client unblocked via CLIENT UNBLOCK',
    code: 'REDIS_NOT_READY',
    why: 'nothing is known of what it waited for',
    real: [
      'test/chaos/redis-replies.test.ts › UNBLOCKED: a wait for replicas that somebody ends proves nothing',
    ],
  },
  {
    name: 'NOSCRIPT',
    when: 'SCRIPT FLUSH, or a server that took over',
    reply: '-NOSCRIPT No matching script. Please use EVAL.',
    code: 'REDIS_NOT_READY',
    why: 'a new session loads the scripts',
    real: [
      'test/integration/field-notes.test.ts › scripts flushed, streams trimmed, deleted or written to by others change nothing about what follows',
    ],
  },
  {
    name: 'OOM',
    when: 'maxmemory is reached',
    reply: "-OOM command not allowed when used memory > 'maxmemory'.",
    code: 'REDIS_FULL',
    why: 'ends when streams are trimmed or memory is raised',
    real: [
      'test/chaos/redis-refusal.test.ts › memory full in random moments of a deep pipeline, and raised again: exact',
    ],
  },
  {
    name: 'READONLY',
    when: 'the server has become a replica',
    reply: "-READONLY You can't write against a read only replica.",
    code: 'REDIS_NOT_PRIMARY',
    why: 'a new session connects to whoever is primary then',
    real: ['test/chaos/redis-crash.test.ts › made a read-only replica and back: exact'],
  },
  {
    name: 'MOVED',
    when: 'another cluster node serves the slot',
    reply: '-MOVED 3999 127.0.0.1:1',
    code: 'REDIS_NOT_PRIMARY',
    why: 'a new session finds the node',
  },
  {
    name: 'ASK',
    when: 'the slot is on its way to another node',
    reply: '-ASK 3999 127.0.0.1:1',
    code: 'REDIS_NOT_PRIMARY',
    why: 'the batch is not sent half here and half there',
  },
  {
    name: 'max clients',
    when: 'no connection is left',
    reply: '-ERR max number of clients reached',
    code: 'REDIS_NOT_READY',
    why: 'passes',
    real: ['test/integration/bad-input-redis.test.ts › a Redis with no connection left is waited for'],
  },
  {
    name: 'NOAUTH',
    when: 'a password was set',
    reply: '-NOAUTH Authentication required.',
    code: 'REDIS_AUTH',
    why: 'the file of a URL was read a moment ago, and trying the same secret again locks accounts',
  },
  {
    name: 'WRONGPASS',
    when: 'password rotated, or user deleted',
    reply: '-WRONGPASS invalid username-password pair or user is disabled.',
    code: 'REDIS_AUTH',
    why: 'as NOAUTH',
    real: [
      'test/chaos/redis-replies.test.ts › a Redis password that is rotated ends the relay at its next reconnect, and is never shown',
    ],
  },
  {
    name: 'DENIED',
    when: 'protected mode',
    // Cut before "no password is set": at AUTH, ioredis takes that for a Redis that needs none.
    reply: '-DENIED Redis is running in protected mode because protected mode is enabled',
    code: 'REDIS_AUTH',
    why: 'Redis wants a password',
  },
  {
    name: 'NOPERM',
    when: 'the ACL lacks a command or key',
    reply: "-NOPERM this user has no permissions to run the 'evalsha' command",
    code: 'REDIS_PRIVILEGE',
    except: CONFIG_IS_OPTIONAL,
    why: 'somebody must grant it',
    real: [
      'test/integration/bad-input-redis.test.ts › a Redis user without a needed command is refused by the command’s name, until it may',
    ],
  },
  {
    name: 'NOPERM in a script',
    when: 'the ACL lacks a command that a script calls',
    reply: "-ERR The user executing the script can't run this command or subcommand",
    code: 'REDIS_PRIVILEGE',
    except: CONFIG_IS_OPTIONAL,
    why: 'somebody must grant it',
  },
  {
    name: 'WRONGTYPE',
    when: 'a foreign key under the lane state’s name',
    reply: '-WRONGTYPE Operation against a key holding the wrong kind of value',
    code: 'REDIS_KEY_TYPE',
    except: ENTRY_IS_POISON,
    why: 'somebody must say whose key it is',
    real: [
      'test/integration/bad-input-redis.test.ts › a foreign key under the lane state’s name is named and left alone',
      'test/chaos/redis-refusal.test.ts › one event refused in the middle of a batch: those before it stand, it and the rest follow once it may',
    ],
  },
  {
    name: 'CROSSSLOT',
    when: 'a cluster, and streams without a common hash tag',
    reply: "-CROSSSLOT Keys in request don't hash to the same slot",
    code: 'REDIS_CROSS_SLOT',
    why: 'a matter of names: no retry changes them',
  },
  {
    name: 'EXECABORT',
    when: 'never: no transaction is used',
    reply: '-EXECABORT Transaction discarded because of previous errors.',
    code: 'REDIS_REFUSED',
    except: CONFIG_IS_OPTIONAL,
    why: 'unknown here',
  },
  {
    name: 'WAIT on a replica',
    when: 'the server became a replica while an answer of its replicas was awaited',
    reply: '-ERR WAIT cannot be used with replica instances.',
    code: 'REDIS_NOT_PRIMARY',
    why: 'as READONLY',
  },
  {
    name: 'WAITAOF without AOF',
    when: 'appendonly was switched off',
    reply: '-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.',
    code: 'REDIS_VOLATILE',
    why: 'the durability that was asked for can’t be had',
  },
  {
    name: 'proto-max-bulk-len',
    when: 'an argument larger than allowed',
    reply: '-ERR Protocol error: invalid bulk length',
    code: 'REDIS_LIMIT',
    why: 'the same batch would be refused again',
  },
  {
    name: 'unknown command',
    when: 'a command was renamed away',
    reply: "-ERR unknown command 'AUTH', with args beginning with: 'default' '<password>' '<payload>' ",
    code: 'REDIS_REFUSED',
    except: CONFIG_IS_OPTIONAL,
    why: 'somebody must allow it; the arguments that Redis repeats are left out',
  },
  {
    name: 'unknown word',
    when: 'a Redis of the future',
    reply: '-SURPRISE something new',
    code: 'REDIS_REFUSED',
    except: CONFIG_IS_OPTIONAL,
    why: 'fail closed',
  },
  {
    name: 'NOLANE',
    when: 'our scripts: the lane state is gone',
    reply: '-NOLANE the lane state is gone',
    code: 'LANE_MISSING',
    why: 'a loss that must be looked at',
    real: [
      'test/integration/history-redis.test.ts › a lane state that goes while the relay streams stops it; nothing is confirmed past that',
    ],
  },
  {
    name: 'EPOCH',
    when: 'our scripts: an operator accepted a new epoch',
    reply: '-EPOCH the lane is in epoch 2',
    code: 'EPOCH_CHANGED',
    why: 'this session’s history is over',
    real: [
      'test/integration/field-notes.test.ts › a session whose epoch was replaced writes nothing more and exits',
    ],
  },
  {
    name: 'FENCED',
    when: 'our scripts: another session raised the fence',
    reply: '-FENCED by session 7',
    code: 'FENCED',
    why: 'only one may write',
    real: [
      'test/chaos/redis-refusal.test.ts › a batch of a dead session that arrives late is refused by the fence',
    ],
  },
  {
    name: 'GAP',
    when: 'our scripts: the watermark is behind the batch',
    reply: '-GAP the watermark is 0000000000000000000000000000',
    code: 'CHAIN_GAP',
    why: 'the slot sends again what is missing',
    real: [
      'test/chaos/redis-refusal.test.ts › a batch that is refused takes its followers with it, though Redis would take them by then',
    ],
  },
  {
    name: 'RECOVERED',
    when: 'our scripts: another `audit --repair` was faster',
    reply: '-RECOVERED by somebody else',
    code: 'AUDIT_OVERTAKEN',
    why: 'nothing is appended; what is still missing, the next audit says',
    real: ['test/integration/audit-repair.test.ts › two repairs of one loss at the same time append it once'],
  },
];
