/** A text as a Lua literal, byte for byte: names and constants come from a configuration file and may hold anything. */
export function luaText(text: string): string {
  let literal = '';
  for (const byte of Buffer.from(text)) {
    const character = String.fromCharCode(byte);
    literal += /[A-Za-z0-9 _.,:;/+*=-]/.test(character) ? character : `\\${String(byte).padStart(3, '0')}`;
  }
  return `'${literal}'`;
}
