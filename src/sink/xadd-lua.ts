/**
 * Lua, for a script that has unpacked its events into the flat array `v`: appends the event whose values begin behind
 * `v[i]` and puts what XADD answers into `reply`. `v[i]` is the number of the stream's key, negative when a value is NULL, whose field is
 * left out. Names are constants of the script, not sent with each event. Needs a local `pcall` for redis.pcall.
 */
export function xaddLua(fields: readonly string[]): string {
  const pairs = fields.map((name, index) => `'${name}', v[i + ${index + 1}]`).join(', ');
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
      reply = pcall('XADD', KEYS[-key], '*', unpack(fields))
    end`;
}
