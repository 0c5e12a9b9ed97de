import { findPostgresBinaries, type PostgresMajorVersion } from '../../../dev/servers/postgres-binaries.ts';
import { serverUser } from '../../../dev/servers/server-user.ts';
import { type Lsn, parseLsn } from '../../../src/core/lsn.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import { OnceCheck } from '../once-check.ts';
import type { Row, RowId } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';

/** What is done to the publication; only version 18 is silent about some of it, so each row runs on any version. */
const TROUBLES: readonly {
  readonly id: RowId;
  readonly fault: string;
  readonly statements: readonly string[];
}[] = [
  {
    id: 'P16',
    fault: 'the publication is dropped, rows follow',
    statements: [
      'DROP PUBLICATION walrelay',
      "DROP PUBLICATION walrelay; CREATE PUBLICATION walrelay FOR TABLE outbox WITH (publish = 'insert')",
    ],
  },
  {
    id: 'P17',
    fault: 'the table is taken out of the publication, and put back between two looks',
    statements: [
      'ALTER PUBLICATION walrelay DROP TABLE outbox',
      'ALTER PUBLICATION walrelay DROP TABLE outbox; ALTER PUBLICATION walrelay ADD TABLE outbox',
    ],
  },
  {
    id: 'P18',
    fault: 'the publication stops publishing inserts, or filters rows',
    statements: [
      "ALTER PUBLICATION walrelay SET (publish = 'update')",
      "ALTER PUBLICATION walrelay SET TABLE outbox WHERE (type <> 'created')",
      'ALTER PUBLICATION walrelay SET TABLE outbox (id, aggregatetype, aggregateid, type)',
    ],
  },
];

export const rows: readonly Row[] = TROUBLES.map(({ id, fault, statements }) => ({
  id,
  fault,
  must: 'HALT',
  runs: 4,
  run: (context) => alterPublication(context, context.random.pick(statements)),
}));

async function alterPublication(context: RowContext, statement: string): Promise<void> {
  const majorVersion = context.random.pick(availableVersions());
  const postgres = await context.startPostgres({ majorVersion });
  context.note(postgres.description);
  const scene = await context.openScene({ postgres });
  const daemon = await scene.startStreaming();
  scene.startWorkload({ bigEvery: 0 });
  await waitForEvents(daemon, context.random.int(100, 400));
  const once = await OnceCheck.begin(scene, context.tally);

  const notPast = await walEnd(scene);
  context.fault(statement);
  await scene.outbox.query(statement);
  // Under load again: whatever is committed now may never be published.
  scene.startWorkload({ bigEvery: 0 });
  // A column list that lacks the payload: the catalog's look and the next Relation message race to say so.
  const isColumnMissing = statement.includes('(id,');
  const codes = ['PUBLICATION_CHANGED', ...(isColumnMissing ? ['COLUMN_MISSING'] : [])];
  await scene.expectHalt(daemon, codes, {
    notPast,
    // With a publication that is missing, or unsuitable as it stands, the next start says so first.
    isAgain: false,
    entries: 'any',
  });
  await scene.expectHalt(
    scene.start(),
    ['PUBLICATION_CHANGED', 'PUBLICATION_MISSING', 'PUBLICATION_UNSUITABLE'],
    {
      notPast,
      entries: 'any',
    },
  );
  await once.end();
}

function availableVersions(): readonly PostgresMajorVersion[] {
  const user = serverUser();
  return ([15, 16, 17, 18] as const).filter((version) => findPostgresBinaries(user, version) !== undefined);
}

async function walEnd(scene: Scene): Promise<Lsn> {
  const [row] = await scene.outbox.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  return parseLsn(row?.lsn ?? '');
}
