import { WalrelayError } from '../../src/core/walrelay-error.ts';

/** The code of the WalrelayError that `run` throws; null when it throws nothing. Any other error passes through. */
export function thrownCode(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof WalrelayError) return error.code;
    throw error;
  }
}
