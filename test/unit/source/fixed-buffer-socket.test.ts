import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FixedBufferSocket } from '../../../src/source/fixed-buffer-socket.ts';

let server: Server;
let peer: Socket;
let fixed: FixedBufferSocket;

beforeEach(async () => {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  fixed = new FixedBufferSocket();
  fixed.socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
  [peer] = (await accepted) as [Socket];
});

afterEach(() => {
  fixed.socket.destroy();
  peer.destroy();
  server.close();
});

test('before it is taken over, what comes is emitted as data that stays as it was', async () => {
  const chunks: Buffer[] = [];
  fixed.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  peer.write('first');
  await expect.poll(() => chunks.length).toBe(1);
  peer.write('other');
  await expect.poll(() => chunks.length).toBe(2);
  expect(chunks.map(String)).toEqual(['first', 'other']);
});

test('afterwards every read is at the same place in memory', async () => {
  const places = new Set<ArrayBufferLike>();
  const offsets = new Set<number>();
  let text = '';
  fixed.takeOver((chunk) => {
    places.add(chunk.buffer);
    offsets.add(chunk.byteOffset);
    text += chunk.toString();
  });
  for (const letter of 'abc') {
    peer.write(letter);
    await expect.poll(() => text.endsWith(letter)).toBe(true);
  }
  expect(text).toBe('abc');
  expect(places.size).toBe(1);
  expect(offsets.size).toBe(1);
});

test('a pause in the middle of a read keeps the rest in the socket', async () => {
  const reads: number[] = [];
  const sum = () => reads.reduce((total, byteCount) => total + byteCount, 0);
  fixed.takeOver((chunk) => {
    reads.push(chunk.length);
    fixed.socket.pause();
  });
  peer.write(Buffer.alloc(1024 * 1024));
  await expect.poll(() => reads.length).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(reads).toHaveLength(1);
  for (let count = 1; sum() < 1024 * 1024; count += 1) {
    fixed.socket.resume();
    await expect.poll(() => reads.length).toBe(count + 1);
  }
  expect(sum()).toBe(1024 * 1024);
});

test('the end of the connection is told as by any socket', async () => {
  fixed.takeOver(() => {});
  fixed.socket.resume();
  const closed = once(fixed.socket, 'close');
  peer.destroy();
  await expect(closed).resolves.toEqual([false]);
});
