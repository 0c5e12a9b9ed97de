import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Outbox, type OutboxOptions } from './outbox.ts';

/** A database whose tables the test makes itself; a file says what they are. `yaml` is given the key prefix. */
export async function listedOutboxes(
  options: Omit<OutboxOptions, 'isInitialized'>,
  yaml: (name: string) => string,
): Promise<Outbox> {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-outboxes-')), 'walrelay.yaml');
  const outbox = await Outbox.create({
    ...options,
    isInitialized: false,
    env: { WALRELAY_CONFIG: path, ...options.env },
  });
  writeFileSync(path, yaml(outbox.name));
  return outbox;
}
