import { describe, expect, test } from 'vitest';
import { classifyReply, isAboutOneEvent, replyError } from '../../../src/sink/redis-reply.ts';

describe('a reply', () => {
  test.each([
    ['NOLANE the lane state is gone', 'LANE_MISSING', 'operator'],
    ['EPOCH the lane is in epoch 2', 'EPOCH_CHANGED', 'operator'],
    ['FENCED by session 7', 'FENCED', 'operator'],
    ['GAP the watermark is 00', 'CHAIN_GAP', 'retry'],
    ['LOADING Redis is loading the dataset in memory', 'REDIS_NOT_READY', 'retry'],
    ['BUSY Redis is busy running a script.', 'REDIS_NOT_READY', 'retry'],
    ['MASTERDOWN Link with MASTER is down', 'REDIS_NOT_READY', 'retry'],
    ['CLUSTERDOWN The cluster is down', 'REDIS_NOT_READY', 'retry'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'REDIS_NOT_READY', 'retry'],
    ['NOREPLICAS Not enough good replicas to write.', 'REDIS_NOT_READY', 'retry'],
    ['MISCONF Redis is configured to save RDB snapshots', 'REDIS_NOT_READY', 'retry'],
    ['UNBLOCKED client unblocked via CLIENT UNBLOCK', 'REDIS_NOT_READY', 'retry'],
    ['NOSCRIPT No matching script. Please use EVAL.', 'REDIS_NOT_READY', 'retry'],
    ['ERR max number of clients reached', 'REDIS_NOT_READY', 'retry'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'REDIS_FULL', 'retry'],
    ["READONLY You can't write against a read only replica.", 'REDIS_NOT_PRIMARY', 'retry'],
    ['MOVED 3999 127.0.0.1:6381', 'REDIS_NOT_PRIMARY', 'retry'],
    ['ASK 3999 127.0.0.1:6381', 'REDIS_NOT_PRIMARY', 'retry'],
    ['NOAUTH Authentication required.', 'REDIS_AUTH', 'operator'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'REDIS_AUTH', 'operator'],
    ['ERR AUTH <password> called without any password configured', 'REDIS_AUTH', 'operator'],
    ['ERR invalid password', 'REDIS_AUTH', 'operator'],
    ["NOPERM this user has no permissions to run the 'evalsha' command", 'REDIS_PRIVILEGE', 'operator'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'REDIS_KEY_TYPE', 'operator'],
    ['ERR Protocol error: invalid bulk length', 'REDIS_LIMIT', 'operator'],
    ["ERR unknown command 'EVALSHA'", 'REDIS_REFUSED', 'operator'],
    ['ERR something new', 'REDIS_REFUSED', 'operator'],
    ['EXECABORT Transaction discarded', 'REDIS_REFUSED', 'operator'],
    ['BUSYKEY Target key name already exists.', 'REDIS_REFUSED', 'operator'],
    ['GAPS is another word', 'REDIS_REFUSED', 'operator'],
    ['oom in lower case is no word of Redis', 'REDIS_REFUSED', 'operator'],
    ['', 'REDIS_REFUSED', 'operator'],
  ])('%s is %s', (reply, code, disposition) => {
    expect(classifyReply(reply)).toBe(code);
    expect(replyError(reply, 'a batch').disposition).toBe(disposition);
  });

  test('is known with the minus of the protocol as well', () => {
    expect(classifyReply('-OOM command not allowed')).toBe('REDIS_FULL');
  });

  test('is told without the name and line of the script, in one line', () => {
    const reply = `GAP the watermark\nis 00 script: ${'0f'.repeat(20)}, on @user_script:3.`;
    expect(replyError(reply, 'a batch').message).toBe('Redis refused a batch: GAP the watermark is 00');
  });

  test('that nobody knows never counts as delivered', () => {
    expect(replyError('SURPRISE!', 'a batch')).toMatchObject({
      code: 'REDIS_REFUSED',
      disposition: 'operator',
    });
  });
});

describe('a refusal within the script', () => {
  test.each([
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    '-WRONGTYPE Operation against a key holding the wrong kind of value',
    'ERR string exceeds maximum allowed size (proto-max-bulk-len)',
    'ERR The ID specified in XADD is equal or smaller than the target stream top item',
  ])('is about one event: %s', (refusal) => {
    expect(isAboutOneEvent(refusal)).toBe(true);
  });

  test('is about one event when its stream has no ID left', () => {
    // Seen on Redis 7.0.15, XADD with `*` after an entry 18446744073709551615-18446744073709551615.
    expect(
      isAboutOneEvent('ERR The stream has exhausted the last possible ID, unable to add more items'),
    ).toBe(true);
  });

  test.each([
    'OOM command not allowed when used memory > maxmemory',
    'NOPERM No permissions to access a key',
    'READONLY You cannot write against a read only replica',
    'MOVED 3999 127.0.0.1:6381',
    'MISCONF Errors writing to the AOF file',
    'ERR no reason given',
    'ERR unknown command',
    '',
  ])('is about Redis: %s', (refusal) => {
    expect(isAboutOneEvent(refusal)).toBe(false);
  });
});
