import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import forge from 'node-forge';
import { serverUser } from '../../dev/servers/server-user.ts';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** An address, or a name; a client's certificate has its user here. */
  readonly name: string;
  /** From now; negative: before. */
  readonly validFromMs?: number;
  readonly validToMs?: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** An authority of a test's own, and what it signs, as files that the servers may read; they go with dispose. */
export class Certificates implements Disposable {
  readonly ca: string;
  readonly dir: string;
  readonly #subject: forge.pki.CertificateField[];
  readonly #keys: forge.pki.rsa.KeyPair;

  constructor(name = 'Walrelay tests') {
    this.dir = mkdtempSync(join(tmpdir(), 'walrelay-tls-'));
    chmodSync(this.dir, 0o755);
    this.#keys = newKeys();
    this.#subject = [{ name: 'commonName', value: name }];
    const certificate = unsigned(this.#keys, this.#subject, { name });
    certificate.setIssuer(this.#subject);
    certificate.setExtensions([
      { name: 'basicConstraints', cA: true },
      { name: 'keyUsage', keyCertSign: true },
    ]);
    certificate.sign(this.#keys.privateKey, forge.md.sha256.create());
    this.ca = this.write('ca.crt', forge.pki.certificateToPem(certificate));
  }

  issue(file: string, options: CertificateOptions): CertificateFiles {
    const keys = newKeys();
    const certificate = unsigned(keys, [{ name: 'commonName', value: options.name }], options);
    certificate.setIssuer(this.#subject);
    const isAddress = /^[\d.]+$/.test(options.name);
    const name = isAddress ? { type: 7, ip: options.name } : { type: 2, value: options.name };
    certificate.setExtensions([{ name: 'subjectAltName', altNames: [name] }]);
    certificate.sign(this.#keys.privateKey, forge.md.sha256.create());
    return {
      cert: this.write(`${file}.crt`, forge.pki.certificateToPem(certificate)),
      key: this.write(`${file}.key`, forge.pki.privateKeyToPem(keys.privateKey)),
    };
  }

  /** Puts a certificate and its key under other names, over what may be there. */
  adopt(file: string, { cert, key }: CertificateFiles): CertificateFiles {
    return {
      cert: this.write(`${file}.crt`, readFileSync(cert, 'utf8')),
      key: this.write(`${file}.key`, readFileSync(key, 'utf8')),
    };
  }

  /** Atomically, as whoever rotates a secret should; the server's user may read it, and nobody else a key. */
  write(file: string, text: string): string {
    const path = join(this.dir, file);
    const fresh = `${path}.${randomBytes(4).toString('hex')}`;
    writeFileSync(fresh, text, { mode: 0o644 });
    const user = serverUser();
    if (file.endsWith('.key')) {
      chmodSync(fresh, 0o600);
      if (user !== undefined) chownSync(fresh, user.uid, user.gid);
    }
    renameSync(fresh, path);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

function unsigned(
  keys: forge.pki.rsa.KeyPair,
  subject: forge.pki.CertificateField[],
  { validFromMs = -DAY_MS, validToMs = DAY_MS }: CertificateOptions,
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  // Positive, whatever its first bit is.
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() + validFromMs);
  certificate.validity.notAfter = new Date(Date.now() + validToMs);
  certificate.setSubject(subject);
  return certificate;
}

/** By Node: in JavaScript it takes seconds. */
function newKeys(): forge.pki.rsa.KeyPair {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const key = forge.pki.privateKeyFromPem(privateKey);
  return { privateKey: key, publicKey: forge.pki.setRsaPublicKey(key.n, key.e) };
}
