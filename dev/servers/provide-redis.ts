import { aptRedis } from './apt-redis.ts';
import { startInDocker } from './docker-server.ts';
import { givenServer, type ProvidedServer } from './provided-server.ts';
import { REDIS_MISSING, type RedisServer, startRedis } from './redis.ts';
import { redisOnPath } from './redis-binary.ts';

const IMAGE = 'redis:7';
const PASSWORD = 'walrelay';

/** The given one, else the machine's, else from Docker, else unpacked from apt; the first that is there. */
export async function provideRedis(options: {
  readonly urlFromEnv?: string | undefined;
}): Promise<ProvidedServer<RedisServer>> {
  if (options.urlFromEnv !== undefined && options.urlFromEnv !== '') return givenServer(options.urlFromEnv);
  if (redisOnPath() !== undefined) return await local();
  const docker = await startInDocker({
    image: IMAGE,
    port: 6379,
    command: [
      'redis-server',
      '--requirepass',
      PASSWORD,
      '--appendonly',
      'yes',
      '--enable-debug-command',
      'yes',
    ],
    readyLine: /Ready to accept connections/,
    readyCount: 1,
  });
  if (docker !== undefined) {
    return {
      url: `redis://:${PASSWORD}@${docker.host}:${docker.port}`,
      description: `${IMAGE} (Docker), ${docker.host}:${docker.port}`,
      dispose: async () => await docker.dispose(),
    };
  }
  if ((await aptRedis()) === undefined) throw new Error(REDIS_MISSING);
  return await local();
}

async function local(): Promise<ProvidedServer<RedisServer>> {
  const server = await startRedis();
  return {
    url: server.url,
    description: server.description,
    dispose: async () => await server.dispose(),
    server,
  };
}
