import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageOutbox } from '../../../src/decode/message-outbox.ts';
import { thrownCode } from '../thrown-code.ts';

const NAMES = ['id', 'type', 'payload', 'ö\n"'];

function outbox(options: { idSlots?: number[]; presentSlots?: number[] } = {}): MessageOutbox {
  return new MessageOutbox({
    outbox: 3,
    name: 'events',
    prefix: 'events',
    names: NAMES,
    idSlots: options.idSlots ?? [],
    presentSlots: options.presentSlots ?? [],
  });
}

interface Read {
  readonly values: Record<string, string | null>;
  readonly kinds: readonly string[];
}

/** What is read of a content that stands somewhere in a frame; nothing around it may be touched. */
function read(content: string | Buffer, messages = outbox()): Read {
  const inside = Buffer.from(content);
  const frame = Buffer.concat([Buffer.from('"}'), inside, Buffer.from('}"')]);
  const [starts, lengths] = [new Int32Array(NAMES.length + 2), new Int32Array(NAMES.length + 2).fill(77)];
  messages.read(frame, 2, 2 + inside.length, starts, lengths);
  expect(frame.subarray(0, 2).toString() + frame.subarray(-2).toString()).toBe('"}}"');
  const values = NAMES.map((name, slot): [string, string | null] => {
    const length = lengths[slot]!;
    return [name, length < 0 ? null : frame.toString('utf8', starts[slot], starts[slot]! + length)];
  });
  return { values: Object.fromEntries(values), kinds: [...messages.plan.kinds] };
}

function payloadOf(json: string): string | null {
  return read(`{"payload":${json}}`).values['payload']!;
}

describe('a value', () => {
  test.each([
    ['{ "b" : 1,  "a":[ 1.0 , {"a":2,"a":3} ] }', 'an object, with its white space, order and double keys'],
    ['12345678901234567890.1234567890123456789e-400', 'a number that no double can hold'],
    ['-0', 'a zero with a sign'],
    ['[]', 'an empty array'],
    ['{}', 'an empty object'],
    ['true', 'a truth'],
    ['{"deep":"\\u00e9\\ud800"}', 'an object with escapes in it'],
  ])('%s arrives as it stands: %s', (json) => {
    expect(payloadOf(json)).toBe(json);
    expect(read(`{"payload": ${json} }`).kinds[2]).toBe('json');
  });

  test('a text arrives as its UTF-8, without quotes and escapes', () => {
    expect(payloadOf('"a\\"\\\\\\/\\b\\f\\n\\r\\tb"')).toBe('a"\\/\b\f\n\r\tb');
    expect(payloadOf('"gr\\u00f6\\u00DFe \\u20ac \\ud83d\\ude00 ß€😀 \\u0000."')).toBe('größe € 😀 ß€😀 \0.');
    expect(payloadOf('""')).toBe('');
    expect(read('{"payload":"x"}').kinds[2]).toBe('text');
  });

  test('null, and a key that is not there, is NULL', () => {
    expect(read('{"payload": null}').values).toEqual({ id: null, type: null, payload: null, 'ö\n"': null });
    expect(read('{}').values['payload']).toBeNull();
  });

  test('of a key that is there twice the last counts, whatever the first was', () => {
    expect(read('{"payload":"\\u0041","payload":{"a":1}}').values['payload']).toBe('{"a":1}');
    expect(read('{"payload":[1],"payload":null}').values['payload']).toBeNull();
    expect(read('{"payload":[1],"payload":"\\n"}').values['payload']).toBe('\n');
  });

  test('is found by a key that is escaped in the message', () => {
    expect(read('{"\\u0069d":"1","\\u00f6\\n\\"":2}').values).toMatchObject({ id: '1', 'ö\n"': '2' });
  });

  test('of a key inside of another value is none', () => {
    expect(read('{"x":{"payload":1},"y":[{"payload":2}]}').values['payload']).toBeNull();
  });

  test('is of the message at hand, and not of the one before', () => {
    const messages = outbox();
    expect(read('{"id":"\\u0041","payload":{"a":1}}', messages).values['id']).toBe('A');
    expect(read('{"id":"b\\u0041"}', messages)).toMatchObject({ values: { id: 'bA', payload: null } });
    expect(read('{"payload":"p"}', messages).kinds[2]).toBe('text');
  });

  test('may be nested deeper than a stack of calls', () => {
    const deep = `${'[{"a":'.repeat(200_000)}1${'}]'.repeat(200_000)}`;
    expect(payloadOf(deep)).toBe(deep);
  });
});

describe('a message is malformed', () => {
  test.each([
    '',
    ' ',
    'null',
    '[]',
    '"a"',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{,"a":1}',
    '{"a":1}}',
    '{"a":1} x',
    '{"a":01}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":+1}',
    '{"a":1e}',
    '{"a":-}',
    '{"a":tru}',
    '{"a":nulll}',
    "{'a':1}",
    '{a:1}',
    '{"a":"\t"}',
    '{"a":"\\x"}',
    '{"a":"\\u00g0"}',
    '{"a":"\\u00"}',
    '{"a":[1,]}',
    '{"a":[1}',
    '{"a":{"b"}}',
    '{"a":{"b":1,}}',
    '{"a":[1 2]}',
    '\ufeff{}',
  ])('when it is %j', (content) => {
    expect(thrownCode(() => read(content))).toBe('EVENT_MALFORMED');
  });

  test.each([
    ['a lone continuation', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['an overlong three', [0xe0, 0x80, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
    ['cut off', [0xe2, 0x82]],
  ])('when a text in it is no UTF-8: %s', (_, bytes) => {
    const content = Buffer.concat([Buffer.from('{"x":{"a":"'), Buffer.from(bytes), Buffer.from('"}}')]);
    expect(thrownCode(() => read(content))).toBe('EVENT_MALFORMED');
  });

  test.each(['"\\ud83d"', '"\\ude00"', '"\\ud83dx"', '"\\ud83d\\n"', '"\\ud83d\\u0041"', '"\\ude00\\ud83d"'])(
    'when a mapped text is half of a pair: %s; what was escaped in it stays as it came',
    (json) => {
      const content = Buffer.from(`{"id":"\\u0041","payload":${json}}`);
      const frame = Buffer.from(content);
      const run = () => outbox().read(frame, 0, frame.length, new Int32Array(4), new Int32Array(4));
      expect(thrownCode(run)).toBe('EVENT_MALFORMED');
      expect(frame.equals(content)).toBe(true);
    },
  );

  test('when a key that has to be there is not; null will do', () => {
    const messages = outbox({ presentSlots: [1, 2] });
    expect(() => read('{"id":1,"type":"t"}', messages)).toThrow('a message of events has no key payload');
    expect(read('{"payload":null,"type":"t"}', messages).values['payload']).toBeNull();
  });

  test.each(['{}', '{"id":null}', '{"id":true}', '{"id":{}}', '{"id":[1]}'])(
    'when its id is none: %s',
    (content) => {
      expect(() => read(content, outbox({ idSlots: [0] }))).toThrow(
        'in id, which identifies the event, neither',
      );
    },
  );

  test('and not when its id is a text or a number', () => {
    const messages = outbox({ idSlots: [0] });
    expect(
      ['"a"', '""', '-1', '9007199254740993'].map((id) => read(`{"id":${id}}`, messages).values['id']),
    ).toEqual(['a', '', '-1', '9007199254740993']);
  });

  test('and the error says where, and nothing of what stands there', () => {
    expect(() => read('{"secret": x}')).toThrow(/^a message of events is no JSON object: .* byte 11 of 13$/);
  });
});

/** JSON as somebody may write it: any white space, any escape. */
const space = fc.stringMatching(/^[ \n\r\t]{0,3}$/);
const json = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('null', 'true', 'false'),
    fc.stringMatching(/^-?(0|[1-9]\d{0,20})(\.\d{1,5})?([eE][+-]?\d{1,3})?$/),
    fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
    fc
      .string()
      .map(
        (text) =>
          `"${Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`,
      ),
    fc.tuple(space, fc.array(tie('value'))).map(([gap, items]) => `[${gap}${items.join(`${gap},`)}${gap}]`),
    fc
      .tuple(space, fc.array(fc.tuple(fc.string(), tie('value'))))
      .map(
        ([gap, members]) =>
          `{${gap}${members.map(([key, value]) => `${JSON.stringify(key)}${gap}:${gap}${value}`).join(',')}${gap}}`,
      ),
  ),
})).value;
const object = fc
  .tuple(space, fc.array(fc.tuple(fc.oneof(fc.constantFrom(...NAMES), fc.string()), json)))
  .map(
    ([gap, members]) =>
      `${gap}{${members.map(([key, value]) => `${gap}${JSON.stringify(key)}${gap}:${value}`).join(`${gap},`)}${gap}}${gap}`,
  );

/** What JSON.parse makes of the mapped keys. */
function parsed(content: string): Record<string, unknown> {
  const all = JSON.parse(content) as Record<string, unknown>;
  return Object.fromEntries(NAMES.map((name) => [name, Object.hasOwn(all, name) ? all[name] : null]));
}

/** Without half of a pair. */
function isText(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

function isWholeText(value: unknown): boolean {
  return typeof value !== 'string' || isText(value);
}

test('whatever the object, the values are those of JSON.parse, and a raw one stands in the text as it is', () => {
  fc.assert(
    fc.property(object, (content) => {
      const wanted = parsed(content);
      fc.pre(Object.values(wanted).every(isWholeText));
      const { values, kinds } = read(content);
      const meant = NAMES.map((name, slot) => {
        const value = values[name] ?? null;
        return [name, value === null || kinds[slot] === 'text' ? value : (JSON.parse(value) as unknown)];
      });
      expect(Object.fromEntries(meant)).toEqual(wanted);
      const raw = NAMES.filter((_, slot) => kinds[slot] === 'json').map((name) => values[name] ?? '');
      expect(raw.filter((value) => !content.includes(value))).toEqual([]);
    }),
    { numRuns: 2000 },
  );
});

test('a content is refused exactly when JSON.parse refuses it, or makes no object of it', () => {
  const damaged = fc
    .tuple(
      object,
      fc.nat(),
      fc.nat(3),
      fc.constantFrom('', '"', '\\', '{', '}', ',', ':', '0', 'e', '-', ' ', '\0', '[', ']'),
    )
    .map(([content, at, count, put]) => {
      const place = at % (content.length + 1);
      return content.slice(0, place) + put + content.slice(place + count);
    })
    // Half of a pair has no UTF-8, and so is no content.
    .filter((content) => isText(content));
  fc.assert(
    fc.property(damaged, (content) => {
      const code = thrownCode(() => read(content));
      let isFine: boolean;
      try {
        const all: unknown = JSON.parse(content);
        isFine = typeof all === 'object' && all !== null && !Array.isArray(all);
        if (isFine) isFine = Object.values(parsed(content)).every(isWholeText);
      } catch {
        isFine = false;
      }
      expect(code).toBe(isFine ? null : 'EVENT_MALFORMED');
    }),
    { numRuns: 5000 },
  );
});
