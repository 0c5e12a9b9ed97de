import {
  type QualifiedName,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
} from '../../../src/source/sql.ts';

/**
 * What pg-transactional-outbox needs of a table, added to ours: its names can't be configured. A row stays one row, and
 * a trigger fills the columns that its own producers would fill; copying into a second table would double the writes.
 * A generated column would be cheaper still, but those are not replicated before Postgres 18.
 */
export function addOutboxColumnsSql(table: QualifiedName): string {
  const target = quoteQualified(table);
  const trigger = quoteQualified(triggerFunction(table));
  return `
    ALTER TABLE ${target} ${COLUMNS.map(([name, type]) => `ADD COLUMN ${name} ${type}`).join(', ')};
    CREATE FUNCTION ${trigger}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.aggregate_type := NEW.aggregatetype;
      NEW.aggregate_id := NEW.aggregateid;
      NEW.message_type := NEW.type;
      NEW.segment := NEW.aggregateid;
      RETURN NEW;
    END $$;
    CREATE TRIGGER ${TRIGGER} BEFORE INSERT ON ${target} FOR EACH ROW EXECUTE FUNCTION ${trigger}();`;
}

/** Safe to repeat, and where the table has gone. */
export function dropOutboxColumnsSql(table: QualifiedName): string {
  const target = quoteQualified(table);
  return `DO ${quoteLiteral(`BEGIN
    IF to_regclass(${quoteLiteral(target)}) IS NOT NULL THEN
      DROP TRIGGER IF EXISTS ${TRIGGER} ON ${target};
      ALTER TABLE ${target} ${COLUMNS.map(([name]) => `DROP COLUMN IF EXISTS ${name}`).join(', ')};
    END IF;
    IF to_regnamespace(${quoteLiteral(quoteIdentifier(table.schema))}) IS NOT NULL THEN
      DROP FUNCTION IF EXISTS ${quoteQualified(triggerFunction(table))}();
    END IF;
  END`)};`;
}

const TRIGGER = 'fill_outbox_columns';

/** As its own setup declares them; segment decides what may be handled at the same time. */
const COLUMNS: readonly (readonly [name: string, type: string])[] = [
  ['aggregate_type', 'text NOT NULL'],
  ['aggregate_id', 'text NOT NULL'],
  ['message_type', 'text NOT NULL'],
  ['segment', 'text'],
  ['concurrency', "text NOT NULL DEFAULT 'sequential'"],
  ['metadata', 'jsonb'],
  ['locked_until', 'timestamptz NOT NULL DEFAULT to_timestamp(0)'],
  ['processed_at', 'timestamptz'],
  ['abandoned_at', 'timestamptz'],
  ['started_attempts', 'smallint NOT NULL DEFAULT 0'],
  ['finished_attempts', 'smallint NOT NULL DEFAULT 0'],
];

function triggerFunction(table: QualifiedName): QualifiedName {
  return { schema: table.schema, name: `${table.name}_${TRIGGER}` };
}
