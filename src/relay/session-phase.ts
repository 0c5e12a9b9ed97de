import { WalrelayError } from '../core/walrelay-error.ts';

/**
 * The life of one session: one replication connection with one Redis connection.
 *
 *   connecting  neither server has promised anything
 *   guarding    both are connected; nothing was written anywhere; every guard is asked
 *   standby     another relay holds the slot (left by taking its lock, or by a stop)
 *   claiming    our lock, no holder: the fence goes up, the watermark is read, the stream is started
 *   streaming   events flow; every kind of trouble leaves this phase at once
 *   draining    nothing more is read; what is in flight is awaited and confirmed, within a time limit
 *   closed      both connections are gone; nothing is written after this
 */
export type SessionPhase =
  | 'connecting'
  | 'guarding'
  | 'standby'
  | 'claiming'
  | 'streaming'
  | 'draining'
  | 'closed';

/** Throws BUG for a step that the life of a session does not have. */
export function nextPhase(from: SessionPhase, to: SessionPhase): SessionPhase {
  if (isAllowed(from, to)) return to;
  throw new WalrelayError('BUG', `a session can't go from ${from} to ${to}`);
}

function isAllowed(from: SessionPhase, to: SessionPhase): boolean {
  if (to === 'closed') return from !== 'closed';
  switch (from) {
    case 'connecting':
      return to === 'guarding';
    case 'guarding':
      return to === 'standby' || to === 'claiming';
    case 'standby':
      // What was true before the wait need not be true after it.
      return to === 'guarding';
    case 'claiming':
      return to === 'streaming';
    case 'streaming':
      return to === 'draining';
    case 'draining':
    case 'closed':
      return false;
  }
}
