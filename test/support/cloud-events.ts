import type { RelayedEvent } from './compare-streams.ts';
import { nativeEvent } from './exactness.ts';

/** The event of an entry that is a CloudEvent, in one field or in several, or native: each tells by its fields what it is. */
export function eventOfAnyFormat(stream: string, fields: Readonly<Record<string, string>>): RelayedEvent {
  const attribute = (name: string) => fields[`ce_${name}`] ?? '';
  if (fields['ce_id'] !== undefined) return cloudEvent(stream, attribute, fields['data'] ?? '');
  const { data } = fields;
  if (data === undefined) return nativeEvent(stream, fields);
  // The data are compared byte for byte: what stands behind the last attribute.
  const at = data.indexOf(',"data":');
  const attributes = JSON.parse(`${data.slice(0, at)}}`) as Record<string, string>;
  return cloudEvent(stream, (name) => attributes[name] ?? '', data.slice(at + ',"data":'.length, -1));
}

function cloudEvent(stream: string, attribute: (name: string) => string, payload: string): RelayedEvent {
  return {
    stream,
    id: attribute('id'),
    type: attribute('type'),
    aggregateType: attribute('aggregatetype'),
    aggregateId: attribute('subject'),
    payload,
    lsn: attribute('lsn'),
    seq: attribute('seq'),
    committedAt: attribute('time'),
  };
}
