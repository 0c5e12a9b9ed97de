import { WalrelayError } from '../core/walrelay-error.ts';
import { findNameFault, StreamRouter } from './stream-router.ts';
import { parseStreamTemplate, type StreamTemplate } from './stream-template.ts';

/** What the settings say about the columns of an event and the name of its stream. */
export interface EventMapping {
  readonly columnId: string;
  readonly columnType: string;
  readonly columnAggregateType: string;
  readonly columnAggregateId: string;
  readonly columnPayload: string;
  /** The template of the stream's name. */
  readonly stream: string;
  /** The lane's own key: no stream may have its name. */
  readonly metaKey: string;
}

/** The columns that are read of a row, and what makes its stream's name of them: one mapping for whoever reads rows. */
export interface EventColumns {
  /** The entry's five in the order of its fields, then what else the stream's name needs. */
  readonly names: readonly string[];
  readonly template: StreamTemplate;
  /** For each placeholder of the template, the place of its column among the names. */
  readonly templateSlots: readonly number[];
  /** `laneOf` gives the number of a stream's lane; without it, all are of one. */
  readonly createRouter: (laneOf?: (stream: string) => number) => StreamRouter;
}

/** Throws CONFIG_INVALID for a template that can't be a stream's name. */
export function eventColumns(mapping: EventMapping): EventColumns {
  const template = parseStreamTemplate(mapping.stream);
  const names = [
    mapping.columnId,
    mapping.columnType,
    mapping.columnAggregateType,
    mapping.columnAggregateId,
    mapping.columnPayload,
  ];
  const templateSlots = template.placeholders.map((placeholder) => {
    const role = SLOT_BY_PLACEHOLDER[placeholder];
    if (role !== undefined) return role;
    const known = names.indexOf(placeholder);
    return known === -1 ? names.push(placeholder) - 1 : known;
  });
  const fault = template.placeholders.length === 0 ? findNameFault(template.text, mapping.metaKey) : null;
  if (fault !== null) {
    throw new WalrelayError('CONFIG_INVALID', `WALRELAY_STREAM: ${JSON.stringify(template.text)} ${fault}`);
  }
  return {
    names,
    template,
    templateSlots,
    createRouter: (laneOf) => new StreamRouter(template, templateSlots, mapping.metaKey, laneOf),
  };
}

/** The names that a template may use whatever the columns are called, with their places among the names. */
const SLOT_BY_PLACEHOLDER: Readonly<Record<string, number>> = {
  id: 0,
  type: 1,
  aggregatetype: 2,
  aggregateid: 3,
};
