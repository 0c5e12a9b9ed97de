import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ReadPacer } from '../../../src/source/read-pacer.ts';

class FakeSocket {
  isPaused = false;
  pauseCount = 0;

  pause(): void {
    this.isPaused = true;
    this.pauseCount += 1;
  }

  resume(): void {
    this.isPaused = false;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function paced(): { socket: FakeSocket; pacer: ReadPacer } {
  const socket = new FakeSocket();
  return { socket, pacer: new ReadPacer(socket) };
}

test('ten frames within a millisecond leave the socket alone for a millisecond', () => {
  const { socket, pacer } = paced();
  pacer.read(5, 750, 100);
  expect(socket.isPaused).toBe(false);
  pacer.read(5, 750, 100.5);
  expect(socket.isPaused).toBe(true);
  vi.advanceTimersByTime(1);
  expect(socket.isPaused).toBe(false);
});

test('two thousand transactions a second are never held up', () => {
  const { socket, pacer } = paced();
  for (let transaction = 0; transaction < 1000; transaction += 1) {
    for (let frame = 0; frame < 3; frame += 1) pacer.read(1, 150, 100 + transaction * 0.5);
  }
  expect(socket.pauseCount).toBe(0);
});

test('large frames are worth a read of their own', () => {
  const { socket, pacer } = paced();
  pacer.read(30, 10_000, 100);
  expect(socket.isPaused).toBe(false);
});

test('a pause counts anew: what came before it does not lead to the next', () => {
  const { socket, pacer } = paced();
  pacer.read(30, 3000, 100);
  vi.advanceTimersByTime(1);
  pacer.read(9, 1350, performance.now());
  expect(socket.isPaused).toBe(false);
});

test('a socket that is held stays paused when the millisecond is over, until it is released', () => {
  const { socket, pacer } = paced();
  pacer.read(30, 3000, 100);
  pacer.hold();
  vi.advanceTimersByTime(5);
  expect(socket.isPaused).toBe(true);
  pacer.release();
  expect(socket.isPaused).toBe(false);
});

test('a release within the millisecond does not cut it short', () => {
  const { socket, pacer } = paced();
  pacer.hold();
  pacer.read(30, 3000, 100);
  pacer.release();
  expect(socket.isPaused).toBe(true);
  vi.advanceTimersByTime(1);
  expect(socket.isPaused).toBe(false);
});

test('once stopped it never touches the socket again', () => {
  const { socket, pacer } = paced();
  pacer.read(30, 3000, 100);
  pacer.stop();
  vi.advanceTimersByTime(5);
  expect(socket.isPaused).toBe(true);
});

test('once stopped it never pauses a socket again', () => {
  const { socket, pacer } = paced();
  pacer.hold();
  pacer.stop();
  socket.resume();
  pacer.read(30, 3000, 100);
  vi.advanceTimersByTime(1);
  expect(socket.isPaused).toBe(false);
});
