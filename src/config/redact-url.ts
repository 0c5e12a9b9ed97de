const HIDDEN = '***';
const SECRET_PARAMETER = /[?&][^=&?]*pass[^=&?]*=/i;

/**
 * A connection URL that may be shown: every password replaced by `***`. It works on the text, not on a parsed URL,
 * because a password with a raw `/`, `#` or `@` parses as something else and would be shown in part. Where the text
 * can be read in two ways, more is hidden rather than less.
 */
export function redactUrl(url: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0];
  if (scheme === undefined) return HIDDEN;
  const rest = url.slice(scheme.length);

  const secretAt = rest.search(SECRET_PARAMETER);
  const hostAt = rest.lastIndexOf('@') + 1;
  // Either a raw password that contains `?pass=`, or a `password=` parameter that contains `@`.
  if (secretAt !== -1 && hostAt > secretAt) return scheme + HIDDEN;

  return scheme + redactUserInfo(rest.slice(0, hostAt), scheme) + redactParameters(rest.slice(hostAt));
}

function redactUserInfo(userInfo: string, scheme: string): string {
  if (userInfo === '') return '';
  const colonAt = userInfo.indexOf(':');
  if (colonAt !== -1) return `${userInfo.slice(0, colonAt)}:${HIDDEN}@`;
  // redis://secret@host is a common slip for redis://:secret@host.
  return scheme.toLowerCase().startsWith('redis') ? `${HIDDEN}@` : userInfo;
}

function redactParameters(hostAndQuery: string): string {
  return hostAndQuery.replace(/([?&][^=&?]*pass[^=&?]*=)[^&]*/gi, `$1${HIDDEN}`);
}
