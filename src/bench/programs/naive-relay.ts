import { Redis } from 'ioredis';
import { LogicalReplicationService, type Pgoutput, PgoutputPlugin } from 'pg-logical-replication';
import { serveRequests } from './serve-requests.ts';

/**
 * The loop that most people write first: the library's own parser, one awaited XADD for each event, then acknowledge.
 * At its best: one message after the other with the library's flow control, and an acknowledgement for each transaction.
 */
serveRequests({ start });

export interface NaiveJob {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly slot: string;
  readonly publication: string;
  readonly applicationName: string;
  readonly keyPrefix: string;
}

async function start(job: NaiveJob): Promise<void> {
  const redis = new Redis(job.redisUrl);
  await redis.ping();
  const service = new LogicalReplicationService(
    { connectionString: job.databaseUrl, application_name: job.applicationName },
    { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: true } },
  );
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [job.publication] });

  service.on('data', async (lsn: string, message: Pgoutput.Message) => {
    if (message.tag === 'insert') {
      const { id, aggregatetype, aggregateid, type, payload } = message.new;
      await redis.xadd(
        `${job.keyPrefix}${aggregatetype}`,
        '*',
        'id',
        id,
        'type',
        type,
        'aggregate_type',
        aggregatetype,
        'aggregate_id',
        aggregateid,
        'payload',
        JSON.stringify(payload),
      );
    } else if (message.tag === 'commit') {
      await service.acknowledge(lsn);
    }
  });
  service.on('heartbeat', (lsn: string, _timestamp: number, shouldRespond: boolean) => {
    if (shouldRespond) void service.acknowledge(lsn);
  });
  service.on('error', (error: Error) => {
    throw error;
  });
  const started = new Promise<void>((resolve) => service.once('start', () => resolve()));
  await Promise.race([started, service.subscribe(plugin, job.slot)]);
}
