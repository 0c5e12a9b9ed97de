import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Env } from './cli.ts';
import { entryFields } from './entry-fields.ts';
import type { Outbox } from './outbox.ts';

/** The prefix that postgres/outbox-emit.sql emits with. */
export const PREFIX = 'outbox';
export const MESSAGES_ENV: Env = { WALRELAY_MESSAGE_PREFIX: PREFIX };

/** A table and messages in one relay: both of their events go to the same streams. */
export const MIXED_YAML = `outboxes:\n  - table: outbox\n  - { name: messages, messagePrefix: ${PREFIX} }\n`;

export function configFile(yaml: string): Env {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-messages-')), 'walrelay.yaml');
  writeFileSync(path, yaml);
  return { WALRELAY_CONFIG: path };
}

/** postgres/outbox-emit.sql as it stands there. */
export async function runEmitSql(outbox: Outbox): Promise<void> {
  await outbox.query(readFileSync(new URL('../../postgres/outbox-emit.sql', import.meta.url), 'utf8'));
}

/** The entries of the stream of an aggregate type, each as its fields. */
export function entriesOf(outbox: Outbox, aggregateType = 'order'): Promise<Record<string, string>[]> {
  return entryFields(outbox, outbox.stream(aggregateType));
}
