import { readFileSync } from 'node:fs';
import { platform } from 'node:os';

/** Clock ticks a second in /proc, the same on every Linux that Node runs on (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** CPU seconds of a process so far, user and system, of all of its threads; undefined where there is no /proc, or it. */
export function cpuSecondsOf(pid: number): number | undefined {
  const stat = statOf(pid);
  return stat === undefined ? undefined : (stat.userTicks + stat.systemTicks) / TICKS_PER_SECOND;
}

/** The most memory that the process has held; undefined as above. */
export function peakRssBytesOf(pid: number): number | undefined {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(pid, 'status') ?? '');
  return match === null ? undefined : Number(match[1]) * 1024;
}

/**
 * Whether this machine's process `pid` is the server's backend of that number, and not another one: the server may
 * run on another machine or in a container, where numbers mean something else.
 */
export function isBackendHere(pid: number, startedAtSeconds: number): boolean {
  const stat = statOf(pid);
  const bootSeconds = Number(/^btime (\d+)$/m.exec(readProc(undefined, 'stat') ?? '')?.[1]);
  if (stat?.name !== 'postgres' || Number.isNaN(bootSeconds)) return false;
  return Math.abs(bootSeconds + stat.startTicks / TICKS_PER_SECOND - startedAtSeconds) < SAME_START_SECONDS;
}

export function processName(pid: number): string | undefined {
  return statOf(pid)?.name;
}

interface ProcessStat {
  readonly name: string;
  readonly userTicks: number;
  readonly systemTicks: number;
  readonly startTicks: number;
}

function statOf(pid: number): ProcessStat | undefined {
  const line = readProc(pid, 'stat');
  return line === undefined ? undefined : parseProcStat(line);
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; the name in parentheses may itself hold any character. */
export function parseProcStat(line: string): ProcessStat | undefined {
  const nameEnd = line.lastIndexOf(')');
  const fields = line.slice(nameEnd + 2).split(' ');
  if (nameEnd === -1 || fields.length < 20) return undefined;
  return {
    name: line.slice(line.indexOf('(') + 1, nameEnd),
    userTicks: Number(fields[11]),
    systemTicks: Number(fields[12]),
    startTicks: Number(fields[19]),
  };
}

function readProc(pid: number | undefined, file: string): string | undefined {
  if (platform() !== 'linux') return undefined;
  try {
    return readFileSync(pid === undefined ? `/proc/${file}` : `/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

const SAME_START_SECONDS = 3;
