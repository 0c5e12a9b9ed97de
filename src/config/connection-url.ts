import { z } from 'zod';
import { findTlsParameterFault } from './postgres-tls.ts';
import type { SettingKind } from './setting-kind.ts';

/**
 * Connection URLs, checked as far as text goes. A refusal names what is wrong with the form and never repeats the
 * value: a mistyped URL is often a bare password.
 */
export function postgresUrl(): SettingKind<string> {
  return connectionUrl('a URL like postgres://user:password@host:5432/database', {
    schemes: ['postgres:', 'postgresql:'],
    check: findTlsParameterFault,
  });
}

export function redisUrl(): SettingKind<string> {
  return connectionUrl('a URL like redis://user:password@host:6379/0 (rediss:// for TLS)', {
    schemes: ['redis:', 'rediss:'],
    check: (url) => {
      if (url.hostname === '') return 'it names no host';
      // ioredis takes options out of the query, and this one for more than the scheme.
      if (url.searchParams.has('tls')) return 'the scheme rediss:// asks for TLS, no parameter does';
      // ioredis would send SELECT with whatever stands there and fail only then, again and again.
      return /^\/?\d*$/.test(url.pathname) ? undefined : 'its path is not a database number';
    },
  });
}

interface UrlRules {
  readonly schemes: readonly string[];
  readonly check?: (url: URL) => string | undefined;
}

function connectionUrl(accepts: string, rules: UrlRules): SettingKind<string> {
  const schema = z.string({ error: accepts }).superRefine((text, context) => {
    const fault = findFault(text, rules);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: `${accepts}; ${fault}` });
  });
  return { schema, accepts, placeholder: 'url' };
}

function findFault(text: string, { schemes, check }: UrlRules): string | undefined {
  if (/\s/.test(text)) return 'it contains white space';
  if (!schemes.some((scheme) => text.toLowerCase().startsWith(`${scheme}//`))) {
    return `it doesn't begin with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`;
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !isDecodable(url)) {
    return "it can't be read: in a user or password write % as %25, / as %2F, # as %23, ? as %3F, @ as %40";
  }
  return check?.(url);
}

/** A raw % is accepted by URL and thrown at by the drivers, which decode. */
function isDecodable(url: URL): boolean {
  try {
    decodeURIComponent(url.username + url.password + url.pathname);
    return true;
  } catch {
    return false;
  }
}
