import { appendFileSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { RedisServer } from '../../dev/servers/redis.ts';

/**
 * What a power cut does to appendfsync everysec: the end of the append-only file is lost. Redis writes the file
 * before it answers, so all that was acknowledged until now lies before `aofBytes`.
 */
export function aofBytes(server: RedisServer): number {
  return statSync(newestAof(server)).size;
}

/** Kills the server, takes the end of its append-only file away and starts it again. */
export async function loseAofTail(
  server: RedisServer,
  keptBytes: (size: number) => number,
  whileDead: () => Promise<void> = async () => undefined,
): Promise<void> {
  await server.kill();
  await whileDead();
  const file = newestAof(server);
  truncateSync(file, keptBytes(statSync(file).size));
  await server.start();
}

/** Gives a server that is down so many more commands to load. */
export function lengthenAof(server: RedisServer, commands: number): void {
  appendFileSync(newestAof(server), '*3\r\n$3\r\nSET\r\n$6\r\nfiller\r\n$1\r\n1\r\n'.repeat(commands));
}

function newestAof(server: RedisServer): string {
  const dir = join(server.dir, 'appendonlydir');
  const numbers = readdirSync(dir)
    .map((name) => /\.aof\.(\d+)\.incr\.aof$/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number);
  if (numbers.length === 0) throw new Error(`no append-only file in ${dir}`);
  return join(dir, `appendonly.aof.${Math.max(...numbers)}.incr.aof`);
}
