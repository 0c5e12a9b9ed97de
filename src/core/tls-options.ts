/** How to make sure who answers, and who we are: what both drivers hand on to Node's tls.connect. */
export interface TlsOptions {
  /** PEM, each. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized: boolean;
  /** Set where the host's name doesn't count. */
  readonly checkServerIdentity?: () => undefined;
}
