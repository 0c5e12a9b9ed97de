import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A socket to Redis, authenticated and in the right database: what is written to it are commands, as bytes. */
export async function openBareRedis(redisUrl: string): Promise<Socket> {
  const url = new URL(redisUrl);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? 6379 : Number(url.port);
  const socket =
    url.protocol === 'rediss:' ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
  socket.setNoDelay(true);
  await new Promise<void>((resolve, reject) => {
    socket.once(url.protocol === 'rediss:' ? 'secureConnect' : 'connect', resolve);
    socket.once('error', reject);
  });
  const password = decodeURIComponent(url.password);
  const user = decodeURIComponent(url.username);
  if (password !== '') await ask(socket, user === '' ? ['AUTH', password] : ['AUTH', user, password]);
  const database = url.pathname.replace(/^\//, '');
  if (database !== '') await ask(socket, ['SELECT', database]);
  return socket;
}

/** `*5 XADD <key> * d`, up to the value's length: the value's bytes follow. */
export function xaddHead(key: string): Buffer {
  return Buffer.from(`*5\r\n$4\r\nXADD\r\n$${Buffer.byteLength(key)}\r\n${key}\r\n$1\r\n*\r\n$1\r\nd\r\n$`);
}

/** Sends one command and resolves with the first bytes of its answer; rejects when they are an error. */
export async function ask(socket: Socket, command: readonly string[]): Promise<string> {
  const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
  return await new Promise((resolve, reject) => {
    socket.once('data', (reply: Buffer) => {
      const text = reply.toString();
      if (text.startsWith('-')) reject(new Error(`Redis says: ${text.trim()}`));
      else resolve(text);
    });
    socket.write(`*${parts.length}\r\n${parts.join('')}`);
  });
}
