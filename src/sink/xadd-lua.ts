import { luaText } from './lua-text.ts';
import { KEYS_PER_CODE, type PackedField, type PackedShapes } from './packed-shapes.ts';

/**
 * Lua, for a script that has unpacked its events into the flat array `v`: appends the event whose values begin at `v[i]`
 * and puts what XADD answers into `reply`. `v[i]` is the event's code: it names the stream's key and the shape, and is
 * negative when a value is NULL, whose field is left out. Names are constants of the script, not sent with each event.
 * Needs a local `pcall` for redis.pcall.
 *
 * `same`: further fields behind them, each with the Lua of a value that all events share.
 */
export function xaddLua(packed: PackedShapes, same: Readonly<Record<string, string>> = {}): string {
  const { shapes, headValues } = packed;
  const shared = Object.entries(same).map(([name, value]) => ({ name: luaText(name), value }));
  const bodies = shapes.map((shape) => {
    if (shape.isLoose)
      return `reply = pcall('XADD', key, '*', unpack(cmsgpack.unpack(v[i + ${headValues}])))`;
    const fields = shape.fields.map((field) => ({
      name: field.nameValue === undefined ? luaText(field.name) : valueAt(field.nameValue, headValues),
      value: valueLua(field, headValues),
    }));
    const marks = shape.takesMarks ? shared : [];
    return `if code > 0 then
      ${fields.length > ARGUMENT_FIELDS_MAX ? fromTables(fields, marks) : fromArguments([...fields, ...marks])}
    else
      ${fromTables(fields, marks)}
    end`;
  });
  if (bodies.length === 1) {
    return `local code, reply = v[i], nil
    local key = KEYS[(code > 0 and code or -code)]
    ${bodies[0]}`;
  }
  const branches = bodies.map(
    (body, number) => `${number === 0 ? 'if' : 'elseif'} shape == ${number} then\n    ${body}`,
  );
  return `local code, reply = v[i], nil
    local key = (code > 0 and code or -code) % ${KEYS_PER_CODE}
    local shape = ((code > 0 and code or -code) - key) / ${KEYS_PER_CODE}
    key = KEYS[key]
    ${branches.join('\n    ')}
    else
      reply = {err = 'ERR an event of an unknown shape'}
    end`;
}

/** Lua passes arguments in registers, of which a function has 250. */
const ARGUMENT_FIELDS_MAX = 60;

interface LuaField {
  readonly name: string;
  readonly value: string;
}

function fromArguments(fields: readonly LuaField[]): string {
  return `reply = pcall('XADD', key, '*', ${fields.map(({ name, value }) => `${name}, ${value}`).join(', ')})`;
}

function fromTables(fields: readonly LuaField[], shared: readonly LuaField[]): string {
  const all = [...fields, ...shared];
  return `local names = {${all.map(({ name }) => name).join(', ')}}
      local values = {${all.map(({ value }) => value).join(', ')}}
      local fields = {}
      for f = 1, ${all.length} do
        local value = values[f]
        if type(value) == 'string' then
          fields[#fields + 1] = names[f]
          fields[#fields + 1] = value
        end
      end
      reply = pcall('XADD', key, '*', unpack(fields))`;
}

function valueLua({ filledBy }: PackedField, headValues: number): string {
  if (filledBy === 'lsn') return 'v[i + 1]';
  if (filledBy === 'seq') return 'v[i + 2]';
  if ('constant' in filledBy) return luaText(filledBy.constant);
  return valueAt(filledBy.value, headValues);
}

function valueAt(value: number, headValues: number): string {
  return `v[i + ${headValues + value}]`;
}
