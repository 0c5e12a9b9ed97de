import { waitForEvents } from '../../support/chaos-links.ts';
import type { Daemon } from '../../support/cli.ts';
import { RedisUser } from '../../support/redis-user.ts';
import { Role } from '../../support/setup-role.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

export const rows: readonly Row[] = [
  {
    id: 'O4',
    fault: 'passwords of Postgres and of Redis rotated under a running relay',
    must: 'HALT',
    runs: 1,
    async run(context) {
      const scene = await context.openScene();
      const { outbox, links } = scene;
      const role = context.use(await Role.create(outbox, 'LOGIN REPLICATION'));
      const user = context.use(await RedisUser.create(outbox, '~*', '+@all'));
      const env = (database: string, redis: string) => ({
        DATABASE_URL: links.postgres.url(database),
        REDIS_URL: links.redis.url(redis),
      });
      const secrets = [role.url, user.url];
      const first = await scene.startStreaming(env(role.url, user.url));
      scene.startWorkload();
      await waitForEvents(first, 100);

      const postgres = withPassword(role.url, 'rotated-in-postgres');
      secrets.push(postgres);
      await outbox.query(`ALTER ROLE ${role.name} PASSWORD 'rotated-in-postgres'`);
      // The open session is not touched; the next one needs the new password.
      context.fault('the password of the role');
      await scene.deliverCanary();
      links.postgres.resetAll();
      await scene.expectHalt(first, ['PG_AUTH'], { env: env(role.url, user.url) });

      const second = await scene.startStreaming(env(postgres, user.url));
      const redis = withPassword(user.url, 'rotated-in-redis');
      secrets.push(redis);
      await outbox.redis.call('ACL', 'SETUSER', outbox.name, 'resetpass', '>rotated-in-redis');
      context.fault('the password of the Redis user');
      await scene.deliverCanary();
      links.redis.resetAll();
      await scene.expectHalt(second, ['REDIS_AUTH'], { env: env(postgres, user.url) });

      const third = await scene.startStreaming(env(postgres, redis));
      await scene.settle(third);
      expectNoSecret(scene, [first, second, third], secrets);
    },
  },
];

function withPassword(url: string, password: string): string {
  const changed = new URL(url);
  changed.password = password;
  return changed.href;
}

function expectNoSecret(scene: Scene, daemons: readonly Daemon[], urls: readonly string[]): void {
  const passwords = [...urls, scene.outbox.databaseUrl, scene.outbox.redisUrl].map(
    (url) => new URL(url).password,
  );
  for (const daemon of daemons) {
    if (passwords.some((password) => password !== '' && daemon.stderr.includes(password)))
      throw new Error('a password stands in the log');
  }
}
