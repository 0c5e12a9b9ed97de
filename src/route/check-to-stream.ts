import { WalrelayError } from '../core/walrelay-error.ts';
import { findNameFault, type ReservedNames } from './stream-router.ts';

/** For a stream that an operator names instead of the routes. Throws CONFIG_INVALID. */
export function checkToStream(name: string, reserved: ReservedNames): void {
  const fault = findNameFault(name, reserved);
  if (fault !== null)
    throw new WalrelayError('CONFIG_INVALID', `--to-stream: ${JSON.stringify(name)} ${fault}`);
}
