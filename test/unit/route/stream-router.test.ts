import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  findNameFault,
  type Stream,
  STREAM_NAME_CHARACTERS_MAX,
  StreamRouter,
} from '../../../src/route/stream-router.ts';
import { parseStreamTemplate } from '../../../src/route/stream-template.ts';
import { thrownCode } from '../thrown-code.ts';

const META_KEY = 'walrelay:lane';
const DEAD_LETTERS = 'walrelay:lane:dead-letters';
const RESERVED = { metaKey: META_KEY, deadLetterStream: DEAD_LETTERS };

type Value = string | Buffer | null;

/** A router whose placeholders are the slots 0, 1, … in order. */
function routerFor(template: string): (...values: Value[]) => Stream {
  const parsed = parseStreamTemplate(template);
  const router = new StreamRouter(
    parsed,
    parsed.placeholders.map((_, index) => index),
    { reserved: RESERVED },
  );
  return (...values) => {
    const parts = values.map((value) => (value === null ? Buffer.alloc(0) : Buffer.from(value)));
    // Something stands around the values, as in a frame.
    const bytes = Buffer.concat([Buffer.from('before'), ...parts, Buffer.from('behind')]);
    const starts = new Int32Array(values.length);
    const lengths = new Int32Array(values.length);
    let offset = 6;
    values.forEach((value, slot) => {
      starts[slot] = offset;
      lengths[slot] = value === null ? -1 : parts[slot]!.length;
      offset += parts[slot]!.length;
    });
    return router.route(bytes, starts, lengths);
  };
}

function codeOf(template: string, ...values: Value[]): string | null {
  return thrownCode(() => routerFor(template)(...values));
}

describe('a stream name', () => {
  test('is the template with the values in its holes', () => {
    expect(routerFor('orders')().name).toBe('orders');
    expect(routerFor('outbox.${a}')('order').name).toBe('outbox.order');
    expect(routerFor('${a}:${b}:${a2}')('x', 'y', 'z').name).toBe('x:y:z');
  });

  test('may be of any script, and is UTF-8', () => {
    for (const name of ['größe', '注文', 'заказ', 'e\u0301', '२']) {
      expect(routerFor('outbox.${a}')(name).name).toBe(`outbox.${name}`);
    }
  });

  test.each(['order-1', 'a_b', 'a.b', 'a:b', 'a/b', 'a@b', 'a#b', 'a+b', 'a=b', 'a~b', '{a}b', '0'])(
    'may be %s',
    (name) => {
      expect(routerFor('${a}')(name).name).toBe(name);
    },
  );

  test.each([
    'a b',
    ' ',
    'a\nb',
    'a\r\nDEL x',
    'a\tb',
    'a\0b',
    '\x1b[31m',
    '\x7f',
    'a"b',
    "a'b",
    'a`b',
    'a\\b',
    'a*b',
    'a?b',
    '[a]',
    'a;b',
    'a,b',
    '$a',
    'a\u2028b',
    'a\u00a0b',
    'a\u200bb',
    'a\u202eb',
    '\ufeffa',
    '🐍',
  ])('may not be %j', (name) => {
    expect(codeOf('outbox.${a}', name)).toBe('EVENT_STREAM_NAME');
  });

  test('may not hold bytes that are no UTF-8: two such names would become one', () => {
    expect(codeOf('${a}', Buffer.from([0x61, 0xff]))).toBe('EVENT_STREAM_NAME');
    expect(codeOf('${a}', Buffer.from([0xc3]))).toBe('EVENT_STREAM_NAME');
    expect(codeOf('${a}', Buffer.from([0xed, 0xa0, 0x80]))).toBe('EVENT_STREAM_NAME');
  });

  test('may be as long as the limit and no longer', () => {
    expect(routerFor('${a}')('x'.repeat(STREAM_NAME_CHARACTERS_MAX)).name).toHaveLength(
      STREAM_NAME_CHARACTERS_MAX,
    );
    expect(codeOf('${a}', 'x'.repeat(STREAM_NAME_CHARACTERS_MAX + 1))).toBe('EVENT_STREAM_NAME');
    expect(codeOf('${a}', 'x'.repeat(1_000_000))).toBe('EVENT_STREAM_NAME');
  });

  test('may not be the key of the lane state, however it is put together', () => {
    expect(codeOf('${a}', META_KEY)).toBe('EVENT_STREAM_NAME');
    expect(codeOf('${a}', DEAD_LETTERS)).toBe('EVENT_STREAM_NAME');
    expect(codeOf('${a}', `${DEAD_LETTERS}:{order}`)).toBe('EVENT_STREAM_NAME');
    expect(codeOf('walrelay:${a}', 'lane')).toBe('EVENT_STREAM_NAME');
    expect(codeOf('${a}:${b}', 'walrelay', 'lane')).toBe('EVENT_STREAM_NAME');
    expect(codeOf(META_KEY)).toBe('EVENT_STREAM_NAME');
  });

  test.each([':names', ':streams', ':{order}'])(
    'may not be one of the keys beside the lane state: %s; others that begin so may',
    (rest) => {
      expect(codeOf('${a}', META_KEY + rest)).toBe('EVENT_STREAM_NAME');
      expect(codeOf(`${META_KEY}:\${a}`, rest.slice(1))).toBe('EVENT_STREAM_NAME');
      expect(codeOf('${a}', `${META_KEY}${rest}.order`)).toBe(
        rest.startsWith(':{') ? 'EVENT_STREAM_NAME' : null,
      );
    },
  );

  test('that is refused is shown escaped and cut', () => {
    const route = () => routerFor('${a}')(`\n${'x'.repeat(1000)}`);
    expect(route).toThrow(/^the event's stream name "\\nx{63}"… is longer than 256 characters$/);
  });
});

describe('an event', () => {
  test('whose routing value is NULL or empty has no route', () => {
    expect(codeOf('outbox.${a}', null)).toBe('EVENT_NO_ROUTE');
    expect(codeOf('outbox.${a}', '')).toBe('EVENT_NO_ROUTE');
    expect(codeOf('${a}.${b}', 'x', null)).toBe('EVENT_NO_ROUTE');
    expect(codeOf('${a}.${b}', '', 'y')).toBe('EVENT_NO_ROUTE');
  });

  test('without a route is told which column it is', () => {
    expect(() => routerFor('${a}.${b}')('x', null)).toThrow('${b} of "${a}.${b}" is NULL');
    expect(() => routerFor('${a}.${b}')('', 'x')).toThrow('${a} of "${a}.${b}" is empty');
  });

  test('that was refused is refused again, and changes nothing for others', () => {
    const route = routerFor('${a}');
    const good = route('good');
    for (const bad of ['bad name', '', null, 'bad name']) expect(thrownCode(() => route(bad))).not.toBeNull();
    expect(route('good')).toBe(good);
  });
});

describe('a known stream', () => {
  test('is the same object every time, so that a batch can keep its place there', () => {
    const route = routerFor('outbox.${a}');
    const order = route('order');
    const item = route('item');
    expect(item).not.toBe(order);
    expect([route('order'), route('order'), route('item'), route('order')]).toEqual([
      order,
      order,
      item,
      order,
    ]);
    expect(route('order')).toBe(order);
    expect(route('item')).toBe(item);
    expect(['offer', 'order', 'ordeR', 'order'].map((name) => route(name).name)).toEqual([
      'outbox.offer',
      'outbox.order',
      'outbox.ordeR',
      'outbox.order',
    ]);
  });

  test('is found by all its routing values, not by what they look like together', () => {
    const route = routerFor('${a}-${b}');
    expect(route('x', 'yz').name).toBe('x-yz');
    expect(route('xy', 'z').name).toBe('xy-z');
    expect(route('1:', '2').name).toBe('1:-2');
    expect(route('1', ':2').name).toBe('1-:2');
    expect(route('x', 'yz')).toBe(route('x', 'yz'));
  });

  test('is the only one of a template without holes', () => {
    const route = routerFor('orders');
    expect(route()).toBe(route());
  });

  test('does not outlive the memory for known streams, but its name does', () => {
    const route = routerFor('${a}');
    for (let index = 0; index < 50_010; index += 1) route(`s${index}`);
    expect(route('s0').name).toBe('s0');
    expect(route('s50009').name).toBe('s50009');
  });
});

test('any bytes make a plain name or a poison event, nothing else', () => {
  const value = fc.option(
    fc.oneof(
      fc.uint8Array({ maxLength: 12, size: 'max' }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: 'binary', maxLength: 12, size: 'max' }),
      fc.string({ maxLength: 300, size: 'max' }),
      fc.constantFrom('walrelay', 'lane', 'order', '{', '}'),
    ),
  );
  const route = { one: routerFor('x.${a}'), two: routerFor('${a}:${b}') };
  fc.assert(
    fc.property(value, value, (a, b) => {
      for (const run of [() => route.one(a), () => route.two(a, b)]) {
        let name = '';
        const code = thrownCode(() => (name = run().name));
        expect([null, 'EVENT_NO_ROUTE', 'EVENT_STREAM_NAME']).toContain(code);
        expect(code === null ? findNameFault(name, RESERVED) : null).toBeNull();
        expect(code === null ? /^[^\s\p{C}"'`\\*?]+$/u.test(name) : true).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});
