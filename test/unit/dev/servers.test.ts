import { describe, expect, test } from 'vitest';
import { packagedPostgresVersion } from '../../../dev/servers/embedded-postgres.ts';
import { parsePostgresVersion } from '../../../dev/servers/postgres-binaries.ts';
import { postgresConf, TEST_SETTINGS } from '../../../dev/servers/postgres-conf.ts';
import { parseProcStat } from '../../../dev/servers/process-tree.ts';
import { withoutPassword } from '../../../dev/servers/provided-server.ts';
import { hasStartFlags, parseRedisVersion } from '../../../dev/servers/redis-binary.ts';
import { chooseUser } from '../../../dev/servers/server-user.ts';

describe('the description of a given server', () => {
  test('shows no password, wherever the URL carries it', () => {
    expect(withoutPassword('postgres://me:s3cret@db.example:5432/app')).toBe(
      'postgres://me@db.example:5432/app',
    );
    expect(withoutPassword('redis://:s3cret@cache.example:6379')).not.toContain('s3cret');
    expect(withoutPassword('postgres://me@db.example/app?password=s3cret')).not.toContain('s3cret');
    expect(withoutPassword('host=db.example password=s3cret')).toBe('(not a URL)');
  });
});

describe('postgresql.conf', () => {
  test('takes a setting of the caller over ours', () => {
    const conf = postgresConf({ ...TEST_SETTINGS, port: '15432', wal_level: 'replica' });
    expect(conf).toContain("\nport = '15432'\n");
    expect(conf).toContain("\nwal_level = 'replica'\n");
    expect(conf).not.toContain("wal_level = 'logical'");
  });

  test('survives a quote in a value', () => {
    expect(postgresConf({ cluster_name: "it's" })).toContain("cluster_name = 'it''s'\n");
  });
});

describe('versions', () => {
  test('come from the package, from postgres and from redis-server alike', () => {
    expect(packagedPostgresVersion('{"version":"17.10.0-beta.17"}')).toBe('17.10');
    expect(parsePostgresVersion('postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)')).toBe('15.18');
    expect(parsePostgresVersion('postgres (PostgreSQL) 18beta1')).toBe('18');
    expect(parseRedisVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0')).toBe(
      'Redis 7.0.15',
    );
    expect(parseRedisVersion('Valkey server v=8.0.1 sha=00000000:0')).toBe('Valkey 8.0.1');
    expect(parseRedisVersion('Server v=7.2.14 sha=00000000:0 malloc=jemalloc-5.3.0')).toBe('Valkey 7.2.14');
  });

  test('of Redis before 6.2 are refused, as the relay does; those before 7 are started without our newer flags', () => {
    expect(parseRedisVersion('Redis server v=6.0.16 sha=00000000:0')).toBeUndefined();
    const oldest = parseRedisVersion('Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64');
    expect(oldest).toBe('Redis 6.2.14');
    expect(['Redis 6.2.14', 'Redis 7.0.15', 'Valkey 8.0.1'].map(hasStartFlags)).toEqual([false, true, true]);
  });
});

describe('the user that Postgres runs as', () => {
  const root = 'root:x:0:0:root:/root:/bin/sh';
  const nobody = 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin';
  const postgres = 'postgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash';

  test('is postgres where there is one, else another, never root', () => {
    expect(chooseUser([root, nobody, postgres].join('\n'))).toEqual({ name: 'postgres', uid: 101, gid: 104 });
    expect(chooseUser([root, nobody].join('\n'))?.name).toBe('nobody');
    expect(chooseUser([root, 'app:x:1000:1000::/app:/bin/sh', ''].join('\n'))?.name).toBe('app');
    expect(chooseUser(root)).toBeUndefined();
  });
});

describe('/proc/<pid>/stat', () => {
  test('is read past a name that holds spaces and parentheses', () => {
    expect(parseProcStat(7, '7 (a ) S 1 b) Z 42 7 7 0')).toEqual({ pid: 7, parentPid: 42, isZombie: true });
    expect(parseProcStat(7, '7 (postgres) S 42 7 7 0')?.isZombie).toBe(false);
  });
});
