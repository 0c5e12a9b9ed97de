import { existsSync } from 'node:fs';
import type { Contestant } from '../bench/contestant.ts';

/** What only a checkout has: servers to throw away, relays of others, and a build that may be old. */
export interface Checkout {
  /** Postgres and Redis of their own, thrown away by `dispose`. */
  startServers(): Promise<CheckoutServers>;
  peers(): Contestant[];
  /** Builds dist/ from what the working tree says. */
  build(): void;
}

export interface CheckoutServers {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** For people, without a credential. */
  readonly descriptions: readonly string[];
  dispose(): Promise<void>;
}

/** Whether this code runs from src: then the build may be older than it. */
export const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts');

/** Undefined in an installed package. */
export async function openCheckout(): Promise<Checkout | undefined> {
  const url = new URL('../../dev/bench/checkout.ts', import.meta.url);
  if (!existsSync(url)) return undefined;
  if (!RUNS_FROM_SOURCE) {
    const { register } = await import('tsx/esm/api');
    register();
  }
  const { checkout } = (await import(url.href)) as { readonly checkout: Checkout };
  return checkout;
}
