/** Where Redis is: one server, the master that sentinels name, or the nodes of a cluster. */
export interface RedisTarget {
  readonly url: string;
  readonly mode: 'standalone' | 'sentinel' | 'cluster';
  /** Sentinels or cluster nodes to ask, the host of the URL first. */
  readonly seeds: readonly HostPort[];
  readonly sentinelMaster: string;
  readonly sentinelPassword: string | undefined;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}
