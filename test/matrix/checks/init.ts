import { expect } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { expectRelays } from '../../support/setup-refusal.ts';
import { splitStatements } from '../../support/setup-statements.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';

export const init: Check = {
  id: 'init',
  what: 'init makes table, publication, slot and lane state and may be repeated; --print-sql makes the same',
  async run(context, servers) {
    const outbox = await openOutbox(context, servers);
    await outbox.init('--create-table');
    await outbox.init();
    await expectRelays(outbox);

    const printed = await openOutbox(context, servers, { isInitialized: false });
    const script = await runCli(['init', '--create-table', '--print-sql'], printed.env);
    expect(script).toMatchObject({ exitCode: 0, stderr: '' });
    for (const statement of splitStatements(script.stdout)) await printed.query(statement);
    await printed.init();
    await expectRelays(printed);
  },
};
