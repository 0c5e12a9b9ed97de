import type { NamedFile } from './secret-file.ts';

/**
 * verify-full: an authority that is trusted has signed the certificate, and it carries the host's name · verify-ca: only
 * the first, and of the named authority · no-verify: encrypted, to whoever answers.
 */
export const TLS_VERIFICATIONS = ['verify-full', 'verify-ca', 'no-verify'] as const;
export type TlsVerification = (typeof TLS_VERIFICATIONS)[number];

/** What TLS to one of the servers should be; the files are read when a connection is made. */
export interface TlsPlan {
  readonly verification: TlsVerification;
  /** The authorities that are trusted; undefined: those that Node knows. */
  readonly ca: NamedFile | undefined;
  readonly cert: NamedFile | undefined;
  readonly key: NamedFile | undefined;
}

/** What in a plan doesn't fit together, if anything. */
export function findPlanFault({ verification, ca, cert, key }: TlsPlan): string | undefined {
  if (verification === 'verify-ca' && ca === undefined) {
    return 'verify-ca needs the file of the authority: with the public ones, anybody has a certificate';
  }
  if (cert !== undefined && key === undefined) return `${cert.namedBy} needs the file of its key as well`;
  if (key !== undefined && cert === undefined)
    return `${key.namedBy} needs the file of its certificate as well`;
  return undefined;
}
