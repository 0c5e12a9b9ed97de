import { createConnection } from 'node:net';

const PROBE_TIMEOUT_MS = 2_000;

/** Whether it takes commands: any reply to PING will do, except that it is still loading. */
export async function redisAnswers(port: number, password: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    let reply = '';
    const settle = (isReady: boolean): void => {
      socket.destroy();
      resolve(isReady);
    };
    const auth =
      password === '' ? '' : `*2\r\n$4\r\nAUTH\r\n$${Buffer.byteLength(password)}\r\n${password}\r\n`;
    socket.setTimeout(PROBE_TIMEOUT_MS, () => settle(false));
    socket.on('error', () => settle(false));
    socket.on('close', () => settle(false));
    socket.on('connect', () => socket.write(`${auth}*1\r\n$4\r\nPING\r\n`));
    socket.on('data', (chunk) => {
      reply += chunk.toString();
      const lines = reply.split('\r\n').slice(0, -1);
      const pong = lines[password === '' ? 0 : 1];
      if (pong !== undefined) settle(!pong.startsWith('-LOADING'));
    });
  });
}
