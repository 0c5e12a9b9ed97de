import type { Random } from '../../support/chaos-random.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

/** Rendered by Postgres and never read by anybody on the way. */
const TEXTS: readonly string[] = [
  '',
  '9223372036854775808',
  '-0',
  '1e400',
  'NaN',
  'Infinity',
  String.raw`\u0000`,
  String.raw`{"a":"\ud800"}`,
  '{"b":1,"a":2,"b":3}',
  ' { "spaces" : 1.10 } ',
  '\u0001\u007f\u0085\u2028\ufeff\uffff',
  '\r\n$-1\r\n*3\r\n',
  '😀'.repeat(1000),
  `${'['.repeat(10_000)}${']'.repeat(10_000)}`,
];

export const rows: readonly Row[] = [
  {
    id: 'X2',
    fault: 'payloads that break parsers: any bytes, 2^63, NaN, escapes, JSON 10,000 deep',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      await scene.outbox.query('ALTER TABLE outbox ALTER payload TYPE text');
      const daemon = await scene.startStreaming();
      context.fault('hostile text');
      const texts = [...TEXTS, ...Array.from({ length: 300 }, () => drawText(context.random))];
      for (const payload of texts) await scene.outbox.insert({ payload });
      await scene.settle(daemon);

      context.fault('bytes in no encoding');
      await bytesInNoEncoding(await context.openScene({ encoding: 'SQL_ASCII' }), context.random);
    },
  },
];

/** Any code points but NUL and lone surrogates, which Postgres refuses. */
function drawText(random: Random): string {
  const count = random.int(0, 60);
  return Array.from({ length: count }, () => {
    const codePoint = random.pick([
      random.int(1, 127),
      random.int(128, 0xd7ff),
      random.int(0xe000, 0x10ffff),
    ]);
    return String.fromCodePoint(codePoint);
  }).join('');
}

/** What a database in SQL_ASCII holds need not be text at all: compared as bytes. */
async function bytesInNoEncoding(scene: Scene, random: Random): Promise<void> {
  await scene.outbox.query('ALTER TABLE outbox ALTER payload TYPE text');
  const daemon = await scene.startStreaming();
  const expected: string[] = [];
  for (let count = 0; count < 100; count += 1) {
    const bytes = Buffer.from(Array.from({ length: random.int(1, 60) }, () => random.int(1, 255)));
    expected.push(bytes.toString('hex'));
    await scene.outbox.query(
      `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
       VALUES ('order', '1', 't', convert_from(decode($1, 'hex'), 'SQL_ASCII'))`,
      [bytes.toString('hex')],
    );
  }
  await scene.outbox.waitForLength(scene.outbox.stream(), expected.length);
  const entries = await scene.outbox.redis.xrangeBuffer(scene.outbox.stream(), '-', '+');
  const found = entries.map(([, fields]) => {
    const at = fields.findIndex((field) => field.toString() === 'payload');
    return fields[at + 1]?.toString('hex');
  });
  const wrongAt = expected.findIndex((hex, index) => hex !== found[index]);
  if (wrongAt !== -1) throw new Error(`payload ${wrongAt} is ${found[wrongAt]}, not ${expected[wrongAt]}`);
  await daemon.stop();
}
