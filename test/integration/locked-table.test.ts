import { Client } from 'pg';
import { expect, test } from 'vitest';
import { sessionErrors } from '../support/chaos-links.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

test('a catalog that is locked while a relay starts leaves no walsenders behind; the relay goes on when it is free', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  const locking = new Client({ connectionString: outbox.databaseUrl });
  await locking.connect();
  try {
    await locking.query('BEGIN; LOCK TABLE pg_publication IN ACCESS EXCLUSIVE MODE');
    const daemon = outbox.start({ WALRELAY_SERVER_SILENCE_MS: '1000', WALRELAY_BACKOFF_MIN_MS: '20' });
    await waitFor('three sessions that wait in vain', () => sessionErrors(daemon).length >= 3);
    const [walsenders] = await outbox.query<{ count: number }>(
      "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'walsender'",
      [outbox.name],
    );
    expect(walsenders?.count).toBeLessThanOrEqual(1);
    await locking.query('COMMIT');
    await daemon.streaming();
    await outbox.waitForLength(outbox.stream(), 1);
    // Longer than any statement may take: streaming is none.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const errors = sessionErrors(daemon).length;
    await outbox.insert();
    await outbox.waitUntilConfirmed();
    expect(sessionErrors(daemon)).toHaveLength(errors);
    expect(await outbox.redis.xlen(outbox.stream())).toBe(2);
  } finally {
    await locking.end();
  }
});
