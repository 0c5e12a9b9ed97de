// Loaded into a relay with `--import`: on SIGUSR2 it does what the environment says. The product knows nothing of it.
const [kind, argument] = (process.env['CAMPAIGN_FAILPOINT'] ?? '').split(':');

process.on('SIGUSR2', () => {
  switch (kind) {
    case 'block': {
      const endsAtMs = Date.now() + Number(argument);
      while (Date.now() < endsAtMs);
      break;
    }
    case 'reject':
      void Promise.reject(new Error('failpoint: a rejection that nobody awaits'));
      break;
    case 'throw':
      setImmediate(() => {
        throw new Error('failpoint: thrown where nobody catches');
      });
      break;
    case 'parser':
      void breakParser();
      break;
    default:
      throw new Error(`no failpoint: ${kind}`);
  }
});

/** The decoder throws in the middle of the next message. */
async function breakParser() {
  const url = new URL('../../../dist/decode/pgoutput-decoder.js', import.meta.url);
  const { PgoutputDecoder } = await import(url.href);
  PgoutputDecoder.prototype.decode = () => {
    throw new TypeError('failpoint: thrown in the decoder');
  };
}
