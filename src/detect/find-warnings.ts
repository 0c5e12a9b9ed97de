import { findPreset, hasColumn } from '../config/presets.ts';
import type { OutboxSettings } from '../config/settings.ts';
import { grouped } from '../core/grouped.ts';
import { quoteIdentifier, quoteQualified } from '../source/sql.ts';
import { isUniqueId } from './column-roles.ts';
import { isFilledByPostgres, type Proposal } from './propose.ts';

/** Why the rows of a table can not come out of a slot; null: they do. */
export function findObstacle({ table }: Proposal): string | null {
  if (table.kind === 'f')
    return 'it is a foreign table: its rows are not in the WAL of this server. Relay it from the server that holds it';
  if (table.isUnlogged)
    return `it is unlogged: its rows are not in the WAL. ALTER TABLE ${quoteQualified(table)} SET LOGGED;`;
  return null;
}

/** What a user has to know before relaying the table by this mapping. */
export function findWarnings(proposal: Proposal, outbox: OutboxSettings): readonly string[] {
  const { table, preset: presetName, roles } = proposal;
  const preset = presetName === null ? undefined : findPreset(presetName);
  const warnings: string[] = [];

  const id = outbox.columnId;
  const isUnique = isUniqueId(table, id);
  if (table.primaryKey.length === 0)
    warnings.push('it has no primary key: an audit and a snapshot read the whole table to find a row');
  if (!isUnique && table.primaryKey.length !== 1)
    warnings.push(
      `nothing keeps ${id.join(', ')} unique: consumers and audits take two rows with one id for a double`,
    );
  else if (!isUnique)
    warnings.push(`${id.join(', ')} is the id, and unique only if whoever inserts the rows sees to it`);

  const isNullable = (column: string) =>
    table.columns.some(({ name, isNotNull }) => name === column && !isNotNull);
  const routing = routingColumns(outbox).filter(isNullable);
  if (routing.length > 0)
    warnings.push(
      `${routing.join(', ')} may be NULL, and a row in which it is has no stream: the relay stops in front of it`,
    );

  if (outbox.columnTime === null) warnings.push(timeWarning(proposal));
  else if (
    table.columns.some(({ name, type }) => name === outbox.columnTime && /without time zone|date/.test(type))
  )
    warnings.push(
      `${outbox.columnTime} has no time zone: audits read it in that of the session (docs/audit.md)`,
    );

  const strange = roles.progress.filter((column) => preset === undefined || !hasColumn(preset, column));
  if (strange.length > 0)
    warnings.push(
      `${strange.join(', ')}: somebody seems to poll this table. Two who deliver are twice everything: let the other one finish, ` +
        'stop it, then start the relay; updates of rows are no events',
    );

  const generated = table.columns.filter(({ isGenerated }) => isGenerated).map(({ name }) => name);
  if (generated.length > 0)
    warnings.push(
      `${generated.join(', ')} is generated: a slot does not send it, and nothing can be made of it`,
    );
  if (table.hasRowSecurity)
    warnings.push(
      'it has row security for this role: the relay reads the WAL and so all rows, audits and snapshots refuse',
    );
  if (table.rowEstimate !== null && table.rowEstimate > 0)
    warnings.push(
      `rows are there already (about ${grouped(table.rowEstimate)}): a relay sends what comes from now on; init --snapshot the others too`,
    );
  return [...(preset?.cautions ?? []), ...warnings];
}

function timeWarning({ table, roles }: Proposal): string {
  const without = 'audits of a time range and replay --from need a time that Postgres fills';
  const column = table.columns.find(({ name }) => name === roles.time?.name);
  if (column === undefined || isFilledByPostgres(column)) return `there is no time column: ${without}`;
  return (
    `${column.name} is filled by whoever inserts, not by Postgres, so it is left out: ${without} ` +
    `(ALTER TABLE ${quoteQualified(table)} ALTER ${quoteIdentifier(column.name)} SET DEFAULT now(), and no longer fill it)`
  );
}

/** The columns that the name of a stream is made of. */
function routingColumns(outbox: OutboxSettings): readonly string[] {
  const roles: Readonly<Record<string, readonly (string | null)[]>> = {
    id: outbox.columnId,
    type: [outbox.columnType],
    aggregatetype: [outbox.columnAggregateType],
    aggregateid: [outbox.columnAggregateId],
  };
  const names = [...outbox.stream.matchAll(/\$\{([^}]+)\}/g)].map(([, name = '']) => name);
  return names.flatMap((name) => (roles[name] ?? [name]).filter((column) => column !== null));
}
