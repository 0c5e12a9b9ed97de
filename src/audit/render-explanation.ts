import type { ExplainedEntry, ExplainedRow, Explanation } from './explain.ts';
import type { GroupStanding } from './group-standing.ts';

/** The life of an event for a person. Pure. */
export function renderExplanation(explanation: Explanation): string {
  const { rows, entries, relay, remarks } = explanation;
  const lines = [
    `event      ${explanation.eventId}`,
    ...(rows.length === 0 ? ['row        none'] : rows.flatMap(rowLines)),
    ...(entries.length === 0 ? ['entry      none'] : entries.flatMap(entryLines)),
    `relay      watermark ${relay.watermark}, floor ${relay.floor}, confirmed ${relay.confirmed ?? '(no slot)'}, WAL ends at ${relay.walEnd}`,
    `           ${relay.holder === null ? 'no relay is connected' : `connected: ${relay.holder}`}`,
    ...(remarks.length === 0 ? [] : ['', ...remarks]),
  ];
  return `${lines.join('\n')}\n`;
}

function rowLines(row: ExplainedRow): string[] {
  return [
    `row        ${row.type ?? 'NULL'} of ${row.aggregateType ?? 'NULL'} ${row.aggregateId ?? 'NULL'}, payload ${
      row.payloadBytes === null ? 'NULL' : `${row.payloadBytes} bytes`
    }`,
    `           inserted ${row.insertedAt ?? '(no time)'} by transaction ${row.transactionId}${
      row.committedAt === null ? '' : `, committed ${row.committedAt}`
    }`,
    `           routed to ${row.stream ?? 'no stream'}`,
  ];
}

function entryLines(entry: ExplainedEntry): string[] {
  const latency = entry.latencyMs === null ? '' : ` (${entry.latencyMs} ms after the commit)`;
  return [
    `entry      ${entry.entryId} in ${entry.stream}${entry.origin === 'relayed' ? '' : `, ${entry.origin}`}`,
    `           appended ${entry.appendedAt}${latency}`,
    ...(entry.position === null
      ? []
      : [`           position ${entry.position}, committed ${entry.committedAt ?? '?'}`]),
    ...(entry.groups.length === 0 ? ['           no consumer group'] : entry.groups.map(groupLine)),
  ];
}

function groupLine({ group, state, consumer, idleMs, deliveries }: GroupStanding): string {
  const text = {
    'not read': 'has not read it yet',
    held: `holds it: consumer ${consumer}, delivered ${deliveries === 1 ? 'once' : `${deliveries} times`}, the last time ${idleMs} ms ago`,
    passed: 'has passed it: acknowledged, or the group began behind it',
  }[state];
  return `           group ${group} ${text}`;
}
