import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LogDestination } from '../../../src/ops/log-destination.ts';

let folder: string;
let path: string;
let fd: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'walrelay-log-'));
  path = join(folder, 'log');
  fd = openSync(path, 'a');
});

afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

test('lines arrive in order', async () => {
  const destination = new LogDestination({ fd });
  for (let i = 0; i < 1000; i += 1) destination.write(`line ${i}\n`);
  await vi.waitFor(() => expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(1001));
  expect(readFileSync(path, 'utf8').startsWith('line 0\nline 1\n')).toBe(true);
});

test('the final flush leaves nothing behind', () => {
  const destination = new LogDestination({ fd });
  destination.write('first\n');
  destination.write('last\n');
  destination.flushSync();
  expect(readFileSync(path, 'utf8')).toBe('first\nlast\n');
});

test.runIf(process.platform === 'linux')('a full disk costs the lines and stops nothing', async () => {
  const full = openSync('/dev/full', 'w');
  const destination = new LogDestination({ fd: full });
  destination.write('lost\n');
  await vi.waitFor(() => expect(destination.lostLines).toBe(1));
  destination.write('lost too\n');
  await vi.waitFor(() => expect(destination.lostLines).toBe(2));
  destination.write('and this\n');
  destination.flushSync();
  closeSync(full);
});

test('the first line that gets through again is preceded by the number of those lost', async () => {
  const spare = openSync(path, 'r');
  const destination = new LogDestination({ fd: spare });
  // A descriptor that can't be written stands for any failing log.
  destination.write('lost\n');
  await vi.waitFor(() => expect(destination.lostLines).toBe(1));
  closeSync(spare);
  const again = openSync(path, 'a');
  expect(again).toBe(spare);
  destination.write('through\n');
  await vi.waitFor(() => expect(readFileSync(path, 'utf8')).toContain('through'));
  const [report, line] = readFileSync(path, 'utf8').split('\n');
  expect(JSON.parse(report ?? '')).toMatchObject({
    msg: 'log lines were lost',
    lines: 1,
    reason: 'EBADF',
    level: 'warn',
  });
  expect(line).toBe('through');
  await vi.waitFor(() => expect(destination.lostLines).toBe(0));
  closeSync(again);
});

test('a process that slept after a write does not take its reader for stalled, and keeps its exit code', () => {
  const destination = new LogDestination({ fd });
  destination.write('one\n');
  // As after SIGSTOP, or with a busy event loop: the write is done, and nobody has heard of it yet.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  expect(destination.isStalled).toBe(false);
});

test('what waits for a stalled reader is bounded', () => {
  const destination = new LogDestination({ fd });
  const line = `${'x'.repeat(64 * 1024 - 1)}\n`;
  // The first is being written; nothing else can be before the event loop turns.
  for (let i = 0; i < 20; i += 1) destination.write(line);
  expect(destination.lostLines).toBe(3);
});
