import { choice, path } from './setting-kind.ts';
import { setting } from './setting-registry.ts';
import { TLS_VERIFICATIONS } from './tls-plan.ts';

/** The files are read anew for each connection. What of Postgres's certificate is checked stands in its URL: sslmode. */
export const tlsSettings = {
  postgresCaFile: setting(path(), {
    group: 'connections',
    default: 'none',
    description: 'The authorities (PEM) that may have signed the certificate of Postgres. Asks for TLS.',
  }),
  postgresCertFile: setting(path(), {
    group: 'connections',
    default: 'none',
    description: 'The certificate (PEM) that shows Postgres who the relay is.',
  }),
  postgresKeyFile: setting(path(), {
    group: 'connections',
    default: 'none',
    description: 'The key (PEM, without a passphrase) of that certificate.',
  }),
  redisTls: setting(choice(TLS_VERIFICATIONS), {
    group: 'connections',
    default: 'verify-full',
    description:
      'What a rediss:// has to prove: authority and host name (verify-full), that the authority of ' +
      'WALRELAY_REDIS_CA_FILE signed its certificate (verify-ca), or nothing (no-verify).',
  }),
  redisCaFile: setting(path(), {
    group: 'connections',
    default: 'none',
    description:
      'The authorities (PEM) that may have signed the certificates of Redis, its nodes and sentinels.',
  }),
  redisCertFile: setting(path(), {
    group: 'connections',
    default: 'none',
    description: 'The certificate (PEM) that shows Redis who the relay is.',
  }),
  redisKeyFile: setting(path(), {
    group: 'connections',
    default: 'none',
    description: 'The key (PEM, without a passphrase) of that certificate.',
  }),
};
