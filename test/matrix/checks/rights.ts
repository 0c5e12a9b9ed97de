import { expect } from 'vitest';
import { expectExact, Oracle } from '../../support/exactness.ts';
import { RedisUser } from '../../support/redis-user.ts';
import { expectRelays, refusedRun } from '../../support/setup-refusal.ts';
import { Role } from '../../support/setup-role.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';

/** As in docs/least-privilege.md. */
const COMMANDS = '+ping +info +hgetall +hget +hmget +hset +hincrby +xadd +eval +evalsha +script|load'.split(
  ' ',
);

export const leastPrivilege: Check = {
  id: 'rights',
  what: 'a role with LOGIN, REPLICATION and CONNECT and a Redis user with eleven commands are enough, and less is refused',
  async run(context, servers) {
    const outbox = await openOutbox(context, servers);
    await outbox.query(`REVOKE ALL ON DATABASE ${outbox.name} FROM PUBLIC`);
    await outbox.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
    const role = context.use(await Role.create(outbox, 'LOGIN REPLICATION'));
    await outbox.query(`GRANT CONNECT ON DATABASE ${outbox.name} TO ${role.name}`);
    const keys = [`~${outbox.name}.*`, `~${outbox.metaKey}*`];
    const user = context.use(await RedisUser.create(outbox, ...keys, ...COMMANDS));
    const env = { DATABASE_URL: role.url, REDIS_URL: user.url };

    const oracle = await Oracle.create(outbox);
    const crashed = outbox.start(env);
    await crashed.streaming();
    await outbox.insert();
    await outbox.waitForLength(outbox.stream(), 1);
    await crashed.kill();
    await outbox.insert();
    await expectRelays(outbox, env);
    expect(await expectExact(outbox, oracle)).toBe(3);

    await outbox.redis.call('ACL', 'SETUSER', outbox.name, '-hgetall');
    expect(await refusedRun(outbox, env)).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
    await outbox.redis.call('ACL', 'SETUSER', outbox.name, '+hgetall');
    await outbox.query(`ALTER ROLE ${role.name} NOREPLICATION`);
    expect(await refusedRun(outbox, env)).toMatchObject({ code: 'PG_PRIVILEGE' });
  },
};
