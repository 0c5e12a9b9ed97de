import { Command, InvalidArgumentError } from 'commander';
import { isDemoName, placeNamed } from './demo-place.ts';
import { removeTraces } from './remove-traces.ts';
import { runDemo } from './run-demo.ts';

/** `npm run demo`: a small shop, its outbox, the real relay, and a reader that shows the entries as they arrive. */
const program = new Command('npm run demo --')
  .description('Orders are placed, paid and shipped in Postgres; watch their events arrive in Redis Streams.')
  .option('--seconds <number>', 'stop by itself after so long; without it, Ctrl-C stops', positive)
  .option('--rate <number>', 'events a second', positive, 20)
  .option('--remove <name>', 'only remove what an interrupted demo left on your servers', demoName)
  .addHelpText(
    'after',
    `
Needs nothing: it starts its own Postgres and Redis and throws them away. With DATABASE_URL or REDIS_URL it uses
yours, under names of its own (walrelay_demo_…), and removes them at the end.

Examples:
  $ npm run demo
  $ npm run demo -- --seconds 10 --rate 200
  $ DATABASE_URL=postgres://… REDIS_URL=redis://… npm run demo`,
  );

const { seconds, rate, remove } = program.parse().opts<{ seconds?: number; rate: number; remove?: string }>();

try {
  if (remove === undefined) {
    process.exitCode = await runDemo({ seconds: seconds ?? null, eventsPerSecond: rate });
  } else {
    const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env;
    if (databaseUrl === undefined || redisUrl === undefined)
      throw new Error('--remove needs DATABASE_URL and REDIS_URL');
    await removeTraces(placeNamed(remove, { databaseUrl, redisUrl }));
  }
} catch (error) {
  process.stderr.write(`\ndemo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 100_000)) throw new InvalidArgumentError('expected a number above 0.');
  return value;
}

function demoName(text: string): string {
  if (!isDemoName(text)) throw new InvalidArgumentError('expected the name that the demo printed.');
  return text;
}
