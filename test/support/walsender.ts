import pglr from 'pg-logical-replication';
import type { Outbox } from './outbox.ts';

/** False when nobody holds the slot at the moment. */
export async function terminateWalsender(outbox: Outbox): Promise<boolean> {
  const rows = await outbox.query(
    'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active',
    [outbox.name],
  );
  return rows.length > 0;
}

/** Somebody who streams from the outbox's slot and confirms nothing, as `pg_recvlogical` of a curious person would. */
export class ForeignReader implements AsyncDisposable {
  readonly #service: InstanceType<typeof pglr.LogicalReplicationService>;

  private constructor(service: InstanceType<typeof pglr.LogicalReplicationService>) {
    this.#service = service;
  }

  /** Resolves when it streams. */
  static async open(outbox: Outbox): Promise<ForeignReader> {
    const service = new pglr.LogicalReplicationService(
      { connectionString: outbox.databaseUrl },
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    );
    const plugin = new pglr.PgoutputPlugin({ protoVersion: 1, publicationNames: ['walrelay'] });
    await new Promise<void>((resolve, reject) => {
      service.on('start', () => resolve());
      service.on('error', reject);
      service.subscribe(plugin, outbox.name, '0/00000000').catch(reject);
    });
    return new ForeignReader(service);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service.destroy().catch(() => undefined);
  }
}
