/**
 * What Node or OpenSSL says when TLS can't be had, and what mends it. By their codes; the messages of both drivers carry
 * the details (the names in a certificate, the date).
 * https://nodejs.org/api/tls.html#x509-certificate-error-codes
 */
export interface TlsNames {
  /** Where the authority is named, and the relay's own certificate and key. */
  readonly caSetting: string;
  readonly certSettings: string;
  /** Where to look for the host and port. */
  readonly urlSetting: string;
  /** How to check the authority alone. */
  readonly verifyCa: string;
  /** The server, as a person calls it. */
  readonly server: string;
}

/** The fix, or undefined when an error with this code is not about TLS. */
export function tlsFix(code: string, names: TlsNames): string | undefined {
  const known = FIXES[code];
  if (known !== undefined) return known(names);
  return OF_TLS.test(code) ? FALLBACK(names) : undefined;
}

type Fix = (names: TlsNames) => string;

const FALLBACK: Fix = ({ server, caSetting }) =>
  `Check the TLS settings of ${server} and its certificate, and ${caSetting}.`;

const EXPIRED: Fix = ({ server }) =>
  `Renew the certificate of ${server} (or of the authority that signed it), and let ${server} load it. Then start the relay again.`;
const NOT_YET: Fix = ({ server }) =>
  `Set the clock of this machine right, or wait until the certificate of ${server} counts.`;
const WRONG_HOST: Fix = ({ urlSetting, server, verifyCa }) =>
  `Use a name in ${urlSetting} that the certificate carries, or give ${server} one that carries this name. Where that can't be: ${verifyCa}.`;
const UNKNOWN_AUTHORITY: Fix = ({ caSetting, server }) =>
  `Name the file with the authority that signed the certificate of ${server}: ${caSetting}.`;
const OURS_WANTED: Fix = ({ server, certSettings }) =>
  `${server} wants a certificate from its clients: set ${certSettings}.`;
const OURS_REFUSED: Fix = ({ server, certSettings }) =>
  `${server} refused the relay's own certificate (${certSettings}): have it renewed, or signed by an authority that ${server} trusts.`;
const NO_TLS: Fix = ({ urlSetting, server }) =>
  `What answers does not speak TLS: check the port in ${urlSetting}, or turn TLS on in ${server}.`;
const VERSION: Fix = ({ server }) => `Allow TLS 1.2 or 1.3 in ${server}.`;

const FIXES: Readonly<Record<string, Fix>> = {
  CERT_HAS_EXPIRED: EXPIRED,
  CERT_NOT_YET_VALID: NOT_YET,
  ERR_TLS_CERT_ALTNAME_INVALID: WRONG_HOST,
  HOSTNAME_MISMATCH: WRONG_HOST,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: OURS_WANTED,
  // Up to TLS 1.2 that is all a server says to a client without a certificate.
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: OURS_WANTED,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: OURS_REFUSED,
  ERR_SSL_TLSV1_ALERT_ACCESS_DENIED: OURS_REFUSED,
  ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR: OURS_REFUSED,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: OURS_REFUSED,
  ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: OURS_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: OURS_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: OURS_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: OURS_REFUSED,
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_UNSUPPORTED_PROTOCOL: VERSION,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: VERSION,
};

/** Whatever else is about a certificate or the handshake: no reason to try again, still less in plain text. */
const OF_TLS =
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|CRL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH|HOSTNAME_|ERROR_IN_CERT)/;
