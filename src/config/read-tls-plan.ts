import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { TlsOptions } from '../core/tls-options.ts';
import { reasonOf } from './config-file.ts';
import { type NamedFile, readNamedFile, unreadable } from './secret-file.ts';
import type { TlsPlan } from './tls-plan.ts';

/** Reads the files. Throws SECRET_UNREADABLE when one can't be read, or is half of what it should be. */
export function readTlsPlan(plan: TlsPlan): TlsOptions {
  const read = (file: NamedFile | undefined) => (file === undefined ? undefined : readNamedFile(file));
  const [ca, cert, key] = [read(plan.ca), read(plan.cert), read(plan.key)];
  if (ca !== undefined && plan.ca !== undefined) checkAuthorities(ca, plan.ca);
  if (cert !== undefined && key !== undefined) checkPair(cert, key, plan);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    rejectUnauthorized: plan.verification !== 'no-verify',
    ...(plan.verification === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Node takes an empty text for "the public authorities", and says nothing about one that is no certificate. */
function checkAuthorities(text: string, { path, namedBy }: NamedFile): void {
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw unreadable(`${namedBy}: ${path} holds no certificate (PEM)`);
  for (const certificate of certificates) {
    try {
      void new X509Certificate(certificate);
    } catch (error) {
      throw unreadable(`${namedBy}: ${path} holds what is no certificate (${reasonOf(error)})`);
    }
  }
}

/** Whoever replaces the two replaces them one after the other. */
function checkPair(cert: string, key: string, plan: TlsPlan): void {
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const names = `${plan.cert?.namedBy} (${plan.cert?.path}) and ${plan.key?.namedBy} (${plan.key?.path})`;
    throw unreadable(`${names} are no certificate with its key (${reasonOf(error)})`);
  }
}
