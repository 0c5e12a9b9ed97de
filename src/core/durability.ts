/** How safe an entry must be in Redis before Postgres is told to forget its event. */
export type Durability =
  /** Redis has answered. */
  | { readonly level: 'reply' }
  /** The append-only file is on the disk (WAITAOF). */
  | { readonly level: 'fsync' }
  /** So many replicas hold it (WAIT). */
  | { readonly level: 'replicas'; readonly replicas: number };

const REPLICAS_MAX = 100;

/** Reads `reply`, `fsync` or `replicas:N`; undefined for anything else. */
export function parseDurability(text: string): Durability | undefined {
  if (text === 'reply' || text === 'fsync') return { level: text };
  const match = /^replicas:(\d{1,3})$/.exec(text);
  const replicas = Number(match?.[1] ?? 0);
  return replicas >= 1 && replicas <= REPLICAS_MAX ? { level: 'replicas', replicas } : undefined;
}

export function formatDurability(durability: Durability): string {
  return durability.level === 'replicas' ? `replicas:${durability.replicas}` : durability.level;
}
