import { EventEmitter } from 'node:events';
import { FakePostgresClient } from './fake-postgres-client.ts';

/** Stands in for the package pg-logical-replication: connects, hands the client to the plugin, reports how it ended. */
export class LogicalReplicationService extends EventEmitter {
  async subscribe(plugin: Plugin, slot: string, lsn: string): Promise<void> {
    const client = new FakePostgresClient('postgres');
    try {
      await client.connect();
      client.on('error', (error: unknown) => this.emit('error', error));
      client.once('replicationStart', () => this.emit('start'));
    } catch (error) {
      this.emit('error', error);
      throw error;
    }
    await plugin.start(client, slot, lsn);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

interface Plugin {
  start(client: FakePostgresClient, slot: string, lsn: string): Promise<unknown>;
}
