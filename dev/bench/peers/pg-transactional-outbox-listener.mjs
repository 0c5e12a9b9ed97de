// The process of the peer pg-transactional-outbox: its listener, and a handler that appends to a Redis stream, as its
// documentation has one that publishes to a broker. Plain JavaScript, for a loader would count as the peer's memory.
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** @type {import('./pg-transactional-outbox.ts').ListenerJob} */
const job = JSON.parse(process.env.LISTENER_JOB ?? '');
const require = createRequire(job.packageJson);
const outbox = require('pg-transactional-outbox');
const pg = require('pg');

/**
 * The slot may announce a row shortly before a query can see it. The package then takes the event for done, unless it
 * is told to look again; before 0.6.0 it can't be told, and lost up to one event in twelve here.
 */
const LOOKUPS_MAX = 1_000;
const LOOKUP_PAUSE_MS = 1;

const redis = new Redis(job.redisUrl, { enableAutoPipelining: true });
redis.on('error', (error) => say('redis', error.message));

const handler = {
  async handle(message) {
    await redis.xadd(
      job.keyPrefix + message.aggregateType,
      '*',
      'id',
      message.id,
      'type',
      message.messageType,
      'aggregate_type',
      message.aggregateType,
      'aggregate_id',
      message.aggregateId,
      'payload',
      JSON.stringify(message.payload),
    );
  },
};

const config = {
  outboxOrInbox: 'outbox',
  dbListenerConfig: {
    connectionString: job.databaseUrl,
    application_name: job.applicationName,
    max: job.connectionsMax,
  },
  settings: {
    dbSchema: job.schema,
    dbTable: job.table,
    // As its documentation sets them for an outbox: both are meant for handlers with logic of their own.
    enableMaxAttemptsProtection: false,
    enablePoisonousMessageProtection: false,
    maxMessageNotFoundAttempts: LOOKUPS_MAX,
    maxMessageNotFoundDelayInMs: LOOKUP_PAUSE_MS,
    messageCleanupIntervalInMs: 0,
    ...job.settings,
  },
};
const logger = {
  level: 'warn',
  trace() {},
  debug() {},
  info() {},
  warn: say,
  error: say,
  fatal: say,
  silent() {},
};

const strategies = job.isLookupRepeated ? {} : { messageProcessingDbClientStrategy: repeatingLookups() };
const [shutdown] =
  job.mode === 'polling'
    ? outbox.initializePollingMessageListener(config, handler, logger, strategies)
    : outbox.initializeReplicationMessageListener(config, handler, logger, {
        ...strategies,
        concurrencyStrategy:
          job.mode === 'segments'
            ? outbox.createReplicationSegmentMutexConcurrencyController()
            : outbox.createReplicationMutexConcurrencyController(),
      });

process.once('SIGTERM', () => void stop());

async function stop() {
  await shutdown();
  await redis.quit();
  process.exit(0);
}

/** For the older version what the newer one does by itself: the same statement again, until it finds the row. */
function repeatingLookups() {
  const pool = new pg.Pool(config.dbListenerConfig);
  pool.on('error', say);
  return {
    async getClient() {
      const client = await pool.connect();
      const query = Object.getPrototypeOf(client).query;
      client.query = async (text, values) => {
        let result = await query.call(client, text, values);
        if (!/FOR NO KEY UPDATE NOWAIT/.test(text)) return result;
        for (let lookup = 1; result.rowCount === 0 && lookup < LOOKUPS_MAX; lookup += 1) {
          await sleep(LOOKUP_PAUSE_MS);
          result = await query.call(client, text, values);
        }
        return result;
      };
      return client;
    },
    shutdown: async () => await pool.end(),
  };
}

function say(...parts) {
  console.error(...parts.map((part) => (part instanceof Error ? part.stack : part)));
}
