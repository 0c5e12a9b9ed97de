import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { compare } from './compare.ts';
import { type DemoPlace, relayEnvironment, streamNames } from './demo-place.ts';
import { EventLedger } from './event-ledger.ts';
import { LiveView } from './live-view.ts';
import { OrderProducer } from './order-producer.ts';
import { openServers, type DemoServers } from './demo-servers.ts';
import { initialize, RelayChild } from './relay-child.ts';
import { StopSignal } from './stop-signal.ts';
import { StreamReader } from './stream-reader.ts';
import { isClean, printNextSteps, printSummary } from './summary.ts';
import { Terminal } from './terminal.ts';

const STATUS_INTERVAL_MS = 1000;
const RELAY_START_TIMEOUT_MS = 30_000;
const LAST_ENTRIES_TIMEOUT_MS = 15_000;
const POLL_MS = 20;

export interface DemoOptions {
  /** Null: until a signal. */
  readonly seconds: number | null;
  readonly eventsPerSecond: number;
}

/** From nothing to a summary and back to nothing. Resolves with the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const terminal = new Terminal(process.stdout, process.env);
  const stop = new StopSignal();
  const servers = await openServers(terminal);
  try {
    return await play(options, { terminal, stop, servers });
  } finally {
    terminal.endFooter();
    await servers.close();
    stop.release();
  }
}

interface Stage {
  readonly terminal: Terminal;
  readonly stop: StopSignal;
  readonly servers: DemoServers;
}

async function play(options: DemoOptions, { terminal, stop, servers }: Stage): Promise<number> {
  const { place } = servers;
  const { env, ignored } = relayEnvironment(place, process.env);
  if (ignored.length > 0) terminal.line(`Not used by the demo: ${ignored.join(', ')}`);
  terminal.line(terminal.paint('dim', '\n$ walrelay init --create-table'));
  for (const line of (await initialize(env)).split('\n')) {
    if (/^(created|found)/.test(line)) terminal.line(`  ${line}`);
  }
  if (stop.isRequested) return 0;

  const ledger = new EventLedger();
  const reader = new StreamReader(place.redisUrl, streamNames(place));
  const producer = new OrderProducer(place, ledger);
  terminal.line(terminal.paint('dim', '$ walrelay run'));
  const relay = new RelayChild(env);
  try {
    await Promise.all([producer.prepare(), reader.connect(), untilStreaming(place, relay)]);
    terminal.line(`  relay ${relay.pid} streams; Ctrl-C stops\n`);
    const view = new LiveView({ terminal, ledger, keyPrefix: place.keyPrefix });
    const seconds = await perform(options, { stop, ledger, reader, producer, relay, view });
    terminal.endFooter();

    const exit = await relay.stop();
    const outcome = { seconds, ledger, comparison: await compare(place, reader, ledger) };
    printSummary(terminal, outcome);
    if (exit.code !== 0) throw new Error(`the relay did not stop cleanly (${exit.reason})`);
    if (!isClean(outcome)) throw new Error('the streams are not what was committed');
    printNextSteps(terminal, place.name === null);
    return 0;
  } catch (error) {
    terminal.endFooter();
    // Its log is of interest only now.
    if (relay.stderr !== '') process.stderr.write(`\nthe relay's log:\n${relay.stderr}\n`);
    throw error;
  } finally {
    reader.close();
    await relay.stop();
    await producer.close();
  }
}

interface Cast {
  readonly stop: StopSignal;
  readonly ledger: EventLedger;
  readonly reader: StreamReader;
  readonly producer: OrderProducer;
  readonly relay: RelayChild;
  readonly view: LiveView;
}

/**
 * Orders come in until it is time to stop; then whatever was committed is awaited. Resolves with the seconds that the
 * shop was open.
 */
async function perform(options: DemoOptions, cast: Cast): Promise<number> {
  const { stop, ledger, reader, producer, relay, view } = cast;
  view.header();
  const startedMs = performance.now();
  const status = setInterval(() => view.status(), STATUS_INTERVAL_MS);
  const reading = reader.run((entry, readMs) => {
    const latencyMs = ledger.read(entry.fields['id'] ?? '', readMs);
    if (latencyMs !== null) view.arrived(entry, latencyMs);
  });
  const producing = producer.run(options.eventsPerSecond);
  const died = relay.exited.then(({ reason }) => {
    throw new Error(`the relay died (${reason})`);
  });
  const failures = [reading, producing, died];
  for (const failure of failures) failure.catch(() => undefined);
  const ends = [...failures, stop.requested];
  if (options.seconds !== null) ends.push(stop.after(options.seconds));
  try {
    await Promise.race(ends);
    producer.stop();
    await Promise.race([producing, died]);
    const seconds = (performance.now() - startedMs) / 1000;
    await Promise.race([untilAllRead(ledger), reading, died]);
    reader.stop();
    await Promise.race([reading, died]);
    return seconds;
  } finally {
    clearInterval(status);
    producer.stop();
  }
}

/** The first event should be as fast as the others, so the shop opens when the relay holds the slot. */
async function untilStreaming({ databaseUrl, slot }: DemoPlace, relay: RelayChild) {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const deadline = Date.now() + RELAY_START_TIMEOUT_MS;
    for (;;) {
      const { rows } = await client.query(
        'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active',
        [slot],
      );
      if (rows.length > 0) return;
      if (relay.exit !== null) throw new Error(`the relay died (${relay.exit.reason}) before it streamed`);
      if (Date.now() > deadline) throw new Error('the relay does not stream');
      await sleep(POLL_MS);
    }
  } finally {
    await client.end();
  }
}

/** What has been committed is on its way; it need not have arrived at the moment that somebody pressed Ctrl-C. */
async function untilAllRead(ledger: EventLedger): Promise<void> {
  const deadline = Date.now() + LAST_ENTRIES_TIMEOUT_MS;
  while (ledger.waitingCount > 0 && Date.now() < deadline) await sleep(POLL_MS);
}
