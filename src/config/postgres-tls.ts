import type { SettingValues } from './settings.ts';
import type { NamedFile } from './secret-file.ts';
import { findPlanFault, type TlsPlan, type TlsVerification } from './tls-plan.ts';

/** What TLS a database URL and the settings beside it ask for. */
export interface PostgresTls {
  /** off: plain text was asked for · unsaid: nothing was, so PGSSLMODE counts, as for every program. */
  readonly plan: TlsPlan | 'off' | 'unsaid';
  /** Bind the login to this very TLS connection, where the server can. */
  readonly isBound: boolean;
  /** The URL without what is said here: the driver must not read it once more, in its own way. */
  readonly url: string;
}

type CertificateSettings = Pick<SettingValues, 'postgresCaFile' | 'postgresCertFile' | 'postgresKeyFile'>;

/**
 * One rule: whoever asks for TLS gets verify-full. `prefer` and `allow` would fall back to plain text, and `require`
 * would take any certificate: they mean verify-full here (as in pg 8, whatever its next version makes of them). Weaker
 * is only what says so: verify-ca with an authority of one's own, no-verify, disable.
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 */
export function postgresTls(databaseUrl: string, settings: CertificateSettings): PostgresTls {
  const { searchParams } = new URL(databaseUrl);
  const file = (parameter: string, setting: string, namedBy: string): NamedFile | undefined => {
    const path = searchParams.getAll(parameter).at(-1);
    if (path === 'system' && parameter === 'sslrootcert') return undefined;
    if (path !== undefined) return { path, namedBy: `${parameter} of DATABASE_URL` };
    return setting === 'none' ? undefined : { path: setting, namedBy };
  };
  const ca = file('sslrootcert', settings.postgresCaFile, 'WALRELAY_POSTGRES_CA_FILE');
  const cert = file('sslcert', settings.postgresCertFile, 'WALRELAY_POSTGRES_CERT_FILE');
  const key = file('sslkey', settings.postgresKeyFile, 'WALRELAY_POSTGRES_KEY_FILE');
  const said = verificationOf(searchParams);
  const isImplied =
    searchParams.get('sslnegotiation') === 'direct' ||
    searchParams.has('sslrootcert') ||
    [ca, cert, key].some((named) => named !== undefined);
  const verification = said ?? (isImplied ? 'verify-full' : undefined);
  return {
    plan:
      verification === undefined
        ? 'unsaid'
        : verification === 'off'
          ? 'off'
          : { verification, ca, cert, key },
    isBound: searchParams.getAll('channel_binding').at(-1) !== 'disable',
    url: without(databaseUrl, OURS),
  };
}

/** What is wrong with the TLS that a URL names, as far as it can be said without the settings beside it. */
export function findTlsParameterFault({ searchParams }: URL): string | undefined {
  const unknown = [...searchParams.keys()].find(
    (name) => /^(ssl|requiressl|uselibpqcompat$)/.test(name) && !KNOWN.includes(name),
  );
  // Ignored, it would leave undone what somebody counts on, such as a list of revoked certificates.
  if (unknown !== undefined) return `its parameter ${unknown} is none that Walrelay knows`;
  if (searchParams.getAll('sslmode').some((mode) => MODES[mode] === undefined)) {
    return `its sslmode is none of ${Object.keys(MODES).join(', ')}`;
  }
  if (searchParams.getAll('ssl').some((mode) => SSL[mode] === undefined)) {
    return `its ssl is none of ${Object.keys(SSL).join(', ')}`;
  }
  const binding = searchParams.getAll('channel_binding');
  if (binding.some((value) => !['disable', 'prefer', 'require'].includes(value))) {
    return 'its channel_binding is none of disable, prefer, require';
  }
  const verification = verificationOf(searchParams);
  if (binding.at(-1) === 'require' && (verification === 'off' || verification === 'no-verify')) {
    return 'its channel_binding=require needs sslmode=verify-full';
  }
  return undefined;
}

/** What is wrong with URL and settings together. */
export function findPostgresTlsFault(databaseUrl: string, settings: CertificateSettings): string | undefined {
  const { plan } = postgresTls(databaseUrl, settings);
  if (plan === 'unsaid') return undefined;
  if (plan !== 'off') return findPlanFault(plan);
  const isAsked = [settings.postgresCaFile, settings.postgresCertFile, settings.postgresKeyFile].some(
    (path) => path !== 'none',
  );
  return isAsked
    ? 'sslmode=disable sends everything in plain text, and the certificates ask for TLS'
    : undefined;
}

function verificationOf(searchParams: URLSearchParams): TlsVerification | 'off' | undefined {
  const mode = searchParams.getAll('sslmode').at(-1);
  if (mode !== undefined) return MODES[mode];
  const ssl = searchParams.getAll('ssl').at(-1);
  return ssl === undefined ? undefined : SSL[ssl];
}

const MODES: Readonly<Record<string, TlsVerification | 'off'>> = {
  disable: 'off',
  allow: 'verify-full',
  prefer: 'verify-full',
  require: 'verify-full',
  'verify-ca': 'verify-ca',
  'verify-full': 'verify-full',
  'no-verify': 'no-verify',
};

/** The words of older drivers. */
const SSL: Readonly<Record<string, TlsVerification | 'off'>> = {
  true: 'verify-full',
  '1': 'verify-full',
  'no-verify': 'no-verify',
  false: 'off',
  '0': 'off',
};

const OURS = ['sslmode', 'ssl', 'sslrootcert', 'sslcert', 'sslkey', 'channel_binding'];
const KNOWN = [...OURS, 'sslnegotiation'];

function without(url: string, parameters: readonly string[]): string {
  const parsed = new URL(url);
  if (!parameters.some((name) => parsed.searchParams.has(name))) return url;
  for (const name of parameters) parsed.searchParams.delete(name);
  return parsed.href;
}
