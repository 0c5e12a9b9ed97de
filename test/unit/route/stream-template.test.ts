import { describe, expect, test } from 'vitest';
import { parseStreamTemplate } from '../../../src/route/stream-template.ts';
import { thrownCode } from '../thrown-code.ts';

describe('a template', () => {
  test.each([
    ['orders', ['orders'], []],
    ['outbox.${aggregatetype}', ['outbox.', ''], ['aggregatetype']],
    ['${a}', ['', ''], ['a']],
    ['${a}${b}', ['', '', ''], ['a', 'b']],
    ['x:${ a }:y:${b}:z', ['x:', ':y:', ':z'], ['a', 'b']],
    ['{${a}}', ['{', '}'], ['a']],
    ['$a $ {b}', ['$a $ {b}'], []],
    ['${größe}', ['', ''], ['größe']],
  ])('%s has the pieces %j and the holes %j', (text, literals, placeholders) => {
    expect(parseStreamTemplate(text)).toEqual({ text, literals, placeholders });
  });

  test.each(['', ' ', '${}', '${ }', 'a${b', '${', 'a.${b}.${'])('%j is refused', (text) => {
    expect(thrownCode(() => parseStreamTemplate(text))).toBe('CONFIG_INVALID');
  });
});
