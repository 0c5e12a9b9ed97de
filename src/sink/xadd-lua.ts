/**
 * Lua, for a script that has unpacked its events into the flat array `v`: appends the event whose values begin behind
 * `v[i]` and puts what XADD answers into `reply`. `v[i]` is the number of the stream's key, negative when a value is NULL,
 * whose field is left out. Names are constants of the script, not sent with each event. Needs a local `pcall` for redis.pcall.
 *
 * `same`: further fields behind them, each with the Lua of a value that all events share.
 */
export function xaddLua(fields: readonly string[], same: Readonly<Record<string, string>> = {}): string {
  const shared = Object.entries(same).map(([name, value]) => `'${name}', ${value}`);
  const pairs = [...fields.map((name, index) => `'${name}', v[i + ${index + 1}]`), ...shared].join(', ');
  const names = fields.map((name) => `'${name}'`).join(', ');
  return `local key, reply = v[i], nil
    if key > 0 then
      reply = pcall('XADD', KEYS[key], '*', ${pairs})
    else
      local names = {${names}}
      local fields = {}
      for f = 1, ${fields.length} do
        local value = v[i + f]
        if type(value) == 'string' then
          fields[#fields + 1] = names[f]
          fields[#fields + 1] = value
        end
      end
      ${shared.map((pair) => `for _, text in ipairs({${pair}}) do fields[#fields + 1] = text end`).join('\n      ')}
      reply = pcall('XADD', KEYS[-key], '*', unpack(fields))
    end`;
}
