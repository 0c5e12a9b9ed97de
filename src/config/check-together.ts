import type { z } from 'zod';
import { formatByteSize } from './byte-size.ts';
import { findPostgresTlsFault } from './postgres-tls.ts';
import { findRedisTlsFault } from './redis-tls.ts';
import type { SettingKey, SettingValues } from './settings.ts';

/** Settings that must fit each other. A refused field is not what its type says here, so each rule looks first. */
export function checkTogether(values: SettingValues, context: z.RefinementCtx): void {
  const refused = new Set(context.issues.map((issue) => issue.path?.[0]));
  const areValid = (...keys: SettingKey[]) => keys.every((key) => !refused.has(key));
  const refuse = (key: SettingKey, message: string) => {
    context.addIssue({ code: 'custom', path: [key], message });
  };

  if (areValid('backoffMinMs', 'backoffMaxMs') && values.backoffMaxMs < values.backoffMinMs) {
    refuse('backoffMaxMs', `at least backoffMinMs, which is ${values.backoffMinMs}`);
  }

  if (areValid('memoryBudgetBytes', 'eventBytesMax', 'inFlightBatchesMax', 'batchBytesMax')) {
    // One largest event being assembled from the socket while another waits to be sent, and every batch in flight:
    // with less, the socket would be paused for ever in the middle of an event.
    const needed = 2 * values.eventBytesMax + values.inFlightBatchesMax * values.batchBytesMax;
    if (values.memoryBudgetBytes < needed) {
      refuse(
        'memoryBudgetBytes',
        `at least ${formatByteSize(needed)}: 2 x eventBytesMax (${formatByteSize(values.eventBytesMax)}; one read ` +
          `while another is sent) + inFlightBatchesMax (${values.inFlightBatchesMax}) x ` +
          `batchBytesMax (${formatByteSize(values.batchBytesMax)})`,
      );
    }
  }

  if (
    areValid('redisMode', 'metaKey') &&
    values.redisMode === 'cluster' &&
    /[{}]/.test(values.metaKey ?? '')
  ) {
    refuse('metaKey', 'a key without braces on a cluster: each lane adds its own hash tag to it');
  }

  if (areValid('trim', 'trimMaxAgeMs') && values.trim === 'even-unread' && values.trimMaxAgeMs === 0)
    refuse('trimMaxAgeMs', 'with even-unread at least 1: entries would go as soon as they stand');

  if (areValid('databaseUrl', 'postgresCaFile', 'postgresCertFile', 'postgresKeyFile')) {
    const fault = findPostgresTlsFault(values.databaseUrl, values);
    if (fault !== undefined) refuse('databaseUrl', `TLS that fits together; ${fault}`);
  }
  if (areValid('redisUrl', 'redisTls', 'redisCaFile', 'redisCertFile', 'redisKeyFile')) {
    const fault = findRedisTlsFault(values.redisUrl, values);
    if (fault !== undefined) refuse('redisUrl', `TLS that fits together; ${fault}`);
  }
  if (areValid('deadLetterStream', 'metaKey', 'slot') && values.deadLetterStream !== undefined) {
    if (values.deadLetterStream === (values.metaKey ?? `walrelay:${values.slot}`))
      refuse('deadLetterStream', 'a key of its own; this one is that of the lane state');
    if (values.redisMode === 'cluster' && /[{}]/.test(values.deadLetterStream))
      refuse('deadLetterStream', 'a key without braces on a cluster: each lane adds its own hash tag to it');
  }

  const keyOfColumn = new Map<string, SettingKey>();
  for (const key of COLUMN_KEYS) {
    if (!areValid(key)) continue;
    for (const column of [values[key]].flat()) {
      if (column !== null && !keyOfColumn.has(column)) keyOfColumn.set(column, key);
    }
  }

  if (areValid('pollAfter', 'pollMarkColumn', 'pollOrderColumn') && values.pollAfter === 'mark') {
    const taken =
      keyOfColumn.get(values.pollMarkColumn) ??
      (values.pollMarkColumn === values.pollOrderColumn ? 'pollOrderColumn' : undefined);
    if (taken !== undefined) refuse('pollMarkColumn', `a column of its own; ${taken} names this one too`);
  }
}

const COLUMN_KEYS = [
  'columnId',
  'columnAggregateType',
  'columnAggregateId',
  'columnType',
  'columnPayload',
] as const;
