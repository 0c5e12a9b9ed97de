/**
 * Hides the passwords of all URLs inside a text. The last net under everything that is logged: drivers put connection
 * strings into their messages. It also reads JSON lines, where a quote in a password stands as `\"`.
 */
export function redactCredentials(text: string): string {
  if (!text.includes('://')) return text;
  return text.replace(USER_INFO, '$1:***@').replace(PASSWORD_PARAMETER, '$1***');
}

// Up to the last @ of the run: a raw @ or / in a password is still password.
const USER_INFO = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/?#"\\]*):(?:\\.|[^\s"\\])*@/gi;
const PASSWORD_PARAMETER = /([?&][^\s=&?"\\]*pass[^\s=&?"\\]*=)(?:\\.|[^\s&"\\])*/gi;
