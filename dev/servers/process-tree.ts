import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

interface ProcessRow {
  readonly pid: number;
  readonly parentPid: number;
  readonly isZombie: boolean;
}

/** The direct children of a process. Postgres has no deeper ones, and puts each into a session of its own. */
export function childPids(parentPid: number): number[] {
  return listProcesses()
    .filter((row) => row.parentPid === parentPid)
    .map((row) => row.pid);
}

/** Resolves when none of the processes runs. A zombie counts as gone: in a container nobody may reap it. */
export async function untilGone(pids: readonly number[], timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let left = [...pids];
  for (;;) {
    left = left.filter(isRunning);
    if (left.length === 0) return;
    if (Date.now() > deadline) {
      throw new Error(`processes still running after ${timeoutMs} ms: ${left.join(', ')}`);
    }
    await sleep(5);
  }
}

/** The state and parent of a `/proc/<pid>/stat` line. The name in parentheses may itself hold any character. */
export function parseProcStat(pid: number, stat: string): ProcessRow | undefined {
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === undefined || parent === undefined) return undefined;
  return { pid, parentPid: Number(parent), isZombie: state === 'Z' || state === 'X' };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return readProcess(pid)?.isZombie !== true;
}

function listProcesses(): ProcessRow[] {
  // Slim container images have no ps; macOS has no /proc.
  if (process.platform !== 'linux') return listWithPs();
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((row) => row !== undefined);
}

function readProcess(pid: number): ProcessRow | undefined {
  try {
    return parseProcStat(pid, readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

function listWithPs(): ProcessRow[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,state='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parentPid, state] = line.trim().split(/\s+/);
      return { pid: Number(pid), parentPid: Number(parentPid), isZombie: state?.startsWith('Z') === true };
    });
}
