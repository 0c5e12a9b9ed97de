import { Client } from 'pg';
import { runCli } from '../../support/cli.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'N7',
    fault: 'the name of the database host points to another cluster',
    must: 'HALT',
    runs: 2,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      const { outbox } = scene;
      const other = await context.startPostgres();
      // The same names and the same password: all that differs is the cluster.
      const otherUrl = new URL(other.url);
      const { password } = new URL(outbox.databaseUrl);
      await run(other.url, `CREATE DATABASE ${outbox.name}`);
      await run(other.url, `ALTER USER postgres PASSWORD '${password}'`);
      otherUrl.password = password;
      otherUrl.pathname = `/${outbox.name}`;
      const made = await runCli(['init', '--create-table'], {
        ...outbox.env,
        DATABASE_URL: otherUrl.href,
        WALRELAY_META_KEY: `${outbox.name}.other`,
      });
      if (made.exitCode !== 0) throw new Error(made.stderr);
      await outbox.redis.del(`${outbox.name}.other`);

      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, 200);
      context.fault('the proxy goes to the other cluster');
      scene.links.postgres.redirect(otherUrl.href);
      scene.links.resetAll();
      await scene.expectHalt(daemon, ['SYSTEM_CHANGED']);

      context.note('back to the right one');
      scene.links.postgres.redirect(outbox.databaseUrl);
      await scene.settle(await scene.startStreaming());
    },
  },
];

async function run(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
