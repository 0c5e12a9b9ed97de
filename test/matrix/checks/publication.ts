import { expect } from 'vitest';
import { parseLsn } from '../../../src/core/lsn.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import { refusedRun } from '../../support/setup-refusal.ts';
import type { Check } from '../check.ts';
import { openOutbox } from '../open-outbox.ts';

/** What Postgres itself does differs: up to 17 decoding ends in an error, from 18 on rows are left out in silence. */
export const droppedPublication: Check = {
  id: 'publication',
  what: 'a publication that is dropped under load stops the relay, with nothing confirmed past it',
  async run(context) {
    const scene = await context.openScene();
    const daemon = await scene.startStreaming();
    scene.startWorkload({ bigEvery: 0 });
    await waitForEvents(daemon, 100);
    const [row] = await scene.outbox.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
    const notPast = parseLsn(row?.lsn ?? '');
    context.fault('DROP PUBLICATION');
    await scene.outbox.query('DROP PUBLICATION walrelay');
    // Which of the two is seen first is up to the server.
    await scene.expectHalt(daemon, ['PUBLICATION_CHANGED', 'PUBLICATION_MISSING'], {
      notPast,
      isAgain: false,
      entries: 'any',
    });
    await scene.expectHalt(scene.start(), ['PUBLICATION_MISSING'], {
      notPast,
      isAgain: false,
      entries: 'any',
    });
  },
};

const FILTERS_SINCE = 15;

export const filteredPublication: Check = {
  id: 'filter',
  what: 'a row filter, and a column list that leaves out a mapped column, are refused',
  notOffered: ({ postgres }) =>
    postgres < FILTERS_SINCE ? 'publications have filters since PostgreSQL 15' : null,
  async run(context, servers) {
    const outbox = await openOutbox(context, servers, { isInitialized: false });
    await outbox.init('--create-table');
    await outbox.query("ALTER PUBLICATION walrelay SET TABLE outbox WHERE (type <> 'created')");
    expect(await refusedRun(outbox)).toMatchObject({ code: 'PUBLICATION_UNSUITABLE' });
    await outbox.query('ALTER PUBLICATION walrelay SET TABLE outbox (id, aggregatetype, aggregateid, type)');
    expect(await refusedRun(outbox)).toMatchObject({ code: 'PUBLICATION_UNSUITABLE' });
  },
};
