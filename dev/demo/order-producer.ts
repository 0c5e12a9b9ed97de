import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, type PoolClient } from 'pg';
import { quoteIdentifier } from '../../src/source/sql.ts';
import type { DemoPlace } from './demo-place.ts';
import type { EventLedger } from './event-ledger.ts';
import { isFinished, newOrder, nextStep, type Order, type Step } from './order-story.ts';

const CONNECTIONS_MAX = 8;
const OPEN_ORDERS_MIN = 5;
const FIRST_ORDER_NUMBER = 1001;
/** Further behind than this, the database can't keep up with the rate: what was missed is not made up for. */
const BEHIND_MS_MAX = 1000;

/**
 * The shop. Each transaction writes to `orders` and inserts the events about it into the outbox, so both are there
 * or neither is: that is what an outbox is for.
 */
export class OrderProducer {
  readonly #pool: Pool;
  readonly #ledger: EventLedger;
  readonly #orders: string;
  readonly #outbox: string;
  readonly #waiting: Order[] = [];
  readonly #running = new Set<Promise<void>>();
  #orderNumber = FIRST_ORDER_NUMBER;
  #isStopping = false;
  #failure: Error | null = null;

  constructor(place: DemoPlace, ledger: EventLedger) {
    this.#ledger = ledger;
    this.#orders = `${quoteIdentifier(place.schema)}.orders`;
    this.#outbox = `${quoteIdentifier(place.schema)}.outbox`;
    this.#pool = new Pool({ connectionString: place.databaseUrl, max: CONNECTIONS_MAX });
    this.#pool.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /** Creates the orders table and opens every connection, so that the first order is not slower than the rest. */
  async prepare(): Promise<void> {
    await this.#pool.query(`CREATE TABLE ${this.#orders} (
      id text PRIMARY KEY, customer text NOT NULL, status text NOT NULL, total_cents bigint NOT NULL)`);
    const clients = await Promise.all(Array.from({ length: CONNECTIONS_MAX }, () => this.#pool.connect()));
    for (const client of clients) client.release();
  }

  /** Resolves after `stop`; rejects when a transaction fails. Arrivals are random, as customers are. */
  async run(eventsPerSecond: number): Promise<void> {
    let dueMs = performance.now();
    while (!this.#isStopping && this.#failure === null) {
      const step = nextStep(this.#nextOrder(), Math.random);
      this.#start(step);
      dueMs += (-Math.log(1 - Math.random()) * step.events.length * 1000) / eventsPerSecond;
      dueMs = Math.max(dueMs, performance.now() - BEHIND_MS_MAX);
      const waitMs = dueMs - performance.now();
      if (waitMs > 1) await sleep(waitMs);
      if (this.#running.size >= CONNECTIONS_MAX) await Promise.race(this.#running);
    }
    await Promise.all(this.#running);
    if (this.#failure !== null) throw new Error(`the shop failed: ${this.#failure.message}`);
  }

  stop(): void {
    this.#isStopping = true;
  }

  async close(): Promise<void> {
    this.#isStopping = true;
    await this.#pool.end();
  }

  /** An order that no transaction is busy with, so that each one's story is told in order. */
  #nextOrder(): Order {
    const index = Math.floor(Math.random() * this.#waiting.length);
    const isNew = this.#waiting.length < OPEN_ORDERS_MIN || Math.random() < 0.3;
    const found = isNew ? undefined : this.#waiting.splice(index, 1)[0];
    if (found !== undefined) return found;
    this.#orderNumber += 1;
    return newOrder(this.#orderNumber - 1, Math.random);
  }

  #start(step: Step): void {
    const running = this.#transact(step).catch((error: unknown) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    });
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  async #transact(step: Step): Promise<void> {
    const client = await this.#pool.connect();
    try {
      const ids = step.events.map(() => randomUUID());
      await client.query('BEGIN');
      await this.#write(client, step, ids);
      if (step.isRolledBack) {
        await client.query('ROLLBACK');
        this.#ledger.rolledBack();
      } else {
        const committing = this.#ledger.committing(ids);
        await client.query('COMMIT');
        committing.done();
        step.order.status = step.status;
      }
    } finally {
      client.release();
    }
    if (!isFinished(step.order)) this.#waiting.push(step.order);
  }

  async #write(client: PoolClient, step: Step, ids: readonly string[]): Promise<void> {
    const { order, status, events } = step;
    await client.query(
      `INSERT INTO ${this.#orders} VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET status = $3`,
      [order.id, order.customer, status, order.totalCents],
    );
    for (const [index, event] of events.entries()) {
      await client.query(
        `INSERT INTO ${this.#outbox} (id, aggregatetype, aggregateid, type, payload) VALUES ($1, $2, $3, $4, $5)`,
        [ids[index], event.aggregate, event.aggregateId, event.type, JSON.stringify(event.payload)],
      );
    }
  }
}
