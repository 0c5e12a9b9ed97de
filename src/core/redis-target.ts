import type { TlsOptions } from './tls-options.ts';

/** Where Redis is: one server, the master that sentinels name, or the nodes of a cluster. */
export interface RedisTarget {
  readonly url: string;
  readonly mode: 'standalone' | 'sentinel' | 'cluster';
  /** Sentinels or cluster nodes to ask, the host of the URL first. */
  readonly seeds: readonly HostPort[];
  readonly sentinelMaster: string;
  readonly sentinelPassword: string | undefined;
  /** For every connection, to sentinels and nodes as well; null: plain text. */
  readonly tls: TlsOptions | null;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}
