import { sessionErrors, waitForEvents, waitForRelay } from '../../support/chaos-links.ts';
import type { Daemon } from '../../support/cli.ts';
import { nameOfCommand, RespReader } from '../../support/protocol-points.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const FENCED_EXIT_CODE = 75;
const STANDBY = 'standing by: another relay holds the slot';
/** The promise is a second; the rest is for a machine that is busy. */
const TAKEOVER_MS = 3000;

export const rows: readonly Row[] = [
  {
    id: 'D3',
    fault: 'two relays started; the holder is killed or stopped, again and again',
    must: 'OK',
    runs: 2,
    async run(context) {
      const scene = await context.openScene();
      scene.startWorkload();
      let holder = await scene.startStreaming();
      for (let count = 1; count <= 4; count += 1) {
        const standby = scene.start();
        await standby.waitForLog(STANDBY, { timeoutMs: 60_000 });
        await waitForEvents(holder, context.random.int(1, 200));
        const isKill = context.random.next() < 0.5;
        const fault = context.fault(isKill ? 'kill -9 of the holder' : 'SIGTERM of the holder', { isKill });
        await (isKill ? holder.kill() : holder.stop());
        const diedAtMs = performance.now();
        fault.over();
        await standby.waitForLog('streaming', { timeoutMs: 60_000 });
        const tookMs = Math.round(performance.now() - diedAtMs);
        context.note(`taken over after ${tookMs} ms`);
        if (tookMs > TAKEOVER_MS) throw new Error(`takeover took ${tookMs} ms`);
        await scene.recover(standby, fault);
        holder = standby;
      }
      await scene.settle(holder);
    },
  },
  {
    id: 'D4',
    fault: 'zombie: a relay is stopped (SIGSTOP) or cut off, another takes over, the first comes back',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const postgres = await context.startPostgres({ settings: { wal_sender_timeout: '1s' } });
      const scene = await context.openScene({ postgres });
      scene.startWorkload();

      const sleeper = await scene.startStreaming();
      const successor = scene.startDirect();
      await successor.waitForLog(STANDBY, { timeoutMs: 60_000 });
      await waitForEvents(sleeper, 200);
      const fault = context.fault('SIGSTOP of the holder');
      sleeper.signal('SIGSTOP');
      await successor.waitForLog('streaming', { timeoutMs: 60_000 });
      fault.over();
      await scene.recover(successor, fault);
      sleeper.signal('SIGCONT');
      const woken = await waitFor('the sleeper to notice', () => {
        if (sleeper.hasExited) return 'exited';
        return sleeper.log.some((line) => line.msg === STANDBY) && 'stands by';
      });
      context.note(`the sleeper ${woken}, after ${sessionErrors(sleeper).join(', ')}`);
      const { exitCode } = await sleeper.stop();
      if (exitCode !== (woken === 'exited' ? FENCED_EXIT_CODE : 0))
        throw new Error(`the sleeper ${woken}, with exit code ${exitCode}`);
      await successor.stop();

      await writeAfterTakeover(scene);
    },
  },
];

/** With a batch in its hand that reaches Redis only after another has taken over: nothing but the fence can refuse it. */
async function writeAfterTakeover(scene: Scene): Promise<void> {
  const held: (() => void)[] = [];
  let isHolding = true;
  scene.links.redis.tap = (connection) => {
    const commands = new RespReader();
    let isHeld = false;
    return {
      onUpstream(chunk) {
        const arrived = commands.push(chunk);
        isHeld ||= isHolding && arrived.some((command) => nameOfCommand(command) === 'append');
        if (!isHeld) return Buffer.concat(arrived);
        held.push(() => connection.toServer.write(Buffer.concat(arrived)));
        return Buffer.alloc(0);
      },
    };
  };
  // It hears nothing of Postgres' end, and has no reason to give up.
  const zombie = await scene.startStreaming({
    WALRELAY_SERVER_SILENCE_MS: '60000',
    WALRELAY_REDIS_TIMEOUT_MS: '60000',
  });
  await waitForRelay(zombie, 'a batch in its hand', () => held.length > 0);
  scene.links.postgres.blackHole(true);
  const successor = scene.startDirect();
  await successor.waitForLog('streaming', { timeoutMs: 60_000 });
  isHolding = false;
  await scene.deliverCanary();
  for (const pass of held) pass();
  await expectFenced(zombie);
  scene.links.redis.tap = null;
  await scene.settle(successor);
}

async function expectFenced(zombie: Daemon): Promise<void> {
  const { exitCode } = await waitFor('the zombie to exit', () => zombie.hasExited && zombie.exited, 60_000);
  const code = sessionErrors(zombie).at(-1);
  if (code !== 'FENCED' || exitCode !== FENCED_EXIT_CODE)
    throw new Error(`the zombie ended with ${code}, exit code ${exitCode}:\n${zombie.stderr}`);
}
