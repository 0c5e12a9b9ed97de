import type { HostPort } from '../core/redis-target.ts';

/** Reads `host:port,host:port` or `none`; undefined when a part is neither. An IPv6 address stands in brackets. */
export function parseHostPorts(text: string): readonly HostPort[] | undefined {
  if (text === 'none') return [];
  const nodes: HostPort[] = [];
  for (const part of text.split(',')) {
    const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]@/]+):(\d{1,5})$/.exec(part.trim());
    const port = Number(match?.[2] ?? 0);
    if (match === null || port < 1 || port > 65_535) return undefined;
    nodes.push({ host: (match[1] as string).replace(/^\[|\]$/g, ''), port });
  }
  return nodes;
}
