/**
 * The beginning of a command in RESP whose last argument, of `lastBytes` bytes, is written behind it:
 * the packed events go from the batch to the socket without being copied into a command.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/#arrays
 */
export function encodeCommandHead(args: readonly string[], lastBytes: number): string {
  let head = `*${args.length + 1}\r\n`;
  for (const arg of args) head += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`;
  return `${head}$${lastBytes}\r\n`;
}
