import type { LengthLimit } from '../core/outbox-mapping.ts';
import type { Condition } from './route-chooser.ts';
import { PARTITION } from './stream-router.ts';
import type { StreamTemplate } from './stream-template.ts';

/** What decides about the name of a stream, and how long it may become. Null: events are left out. */
export interface NamingRoute {
  readonly conditions: readonly Condition[];
  readonly target: {
    readonly template: StreamTemplate;
    /** For each placeholder of the template. */
    readonly slots: readonly number[];
    /** Whether a column makes its names, so that nobody knows beforehand how many there will be. */
    readonly isNamedByData: boolean;
    readonly partition: { readonly count: number } | undefined;
    readonly trimMaxLength: LengthLimit;
  } | null;
}

/**
 * How long a stream may become, told from its name alone: the largest limit of all routes that could have named it. A name
 * says what its columns held, so routes whose conditions speak against that, or that an earlier one forestalls, could not.
 *
 * From the name and not from what was seen of the events: a relay that has just started knows all routes of a stream,
 * also those that had no event yet, and the settings of now apply to streams of before. In doubt a stream stays longer.
 */
export class StreamLengths {
  readonly #outboxes: readonly (readonly ReadRoute[])[];
  readonly #otherwise: LengthLimit;

  /** `outboxes`: the routes of each, in their order; `otherwise`: for streams that none of them could name. */
  constructor(outboxes: readonly (readonly NamingRoute[])[], otherwise: LengthLimit) {
    this.#outboxes = outboxes.map((routes) =>
      routes.map((route) => ({
        ...route,
        read: route.target === null ? () => null : nameReader(route.target),
      })),
    );
    this.#otherwise = otherwise;
  }

  of(stream: string): LengthLimit {
    const limits = this.#outboxes.flatMap((routes) =>
      routes.flatMap(({ target }, index) =>
        target !== null && couldName(routes, index, stream) ? [target.trimMaxLength] : [],
      ),
    );
    return limits.length === 0 ? this.#otherwise : largest(limits);
  }

  /** Streams with a name of their own that keep more than their route says, since another one could name them too. */
  get overruled(): readonly OverruledLength[] {
    return this.#outboxes.flatMap((routes) =>
      routes.flatMap(({ target }) => {
        if (target === null || target.template.placeholders.length > 0) return [];
        const { template, trimMaxLength } = target;
        const applied = this.of(template.text);
        return applied === trimMaxLength ? [] : [{ stream: template.text, trimMaxLength, applied }];
      }),
    );
  }
}

export interface OverruledLength {
  readonly stream: string;
  /** As its route says. */
  readonly trimMaxLength: LengthLimit;
  readonly applied: LengthLimit;
}

interface ReadRoute extends NamingRoute {
  readonly read: NameReader;
}

/** What the columns held, by slot, as far as the name tells; null when the route can't have made it. */
type NameReader = (stream: string) => ReadonlyMap<number, Buffer> | null;

function largest(limits: readonly LengthLimit[]): LengthLimit {
  return limits.reduce((one, other) => (one === 'off' || other === 'off' ? 'off' : Math.max(one, other)));
}

function couldName(routes: readonly ReadRoute[], index: number, stream: string): boolean {
  const route = routes[index] as ReadRoute;
  const values = route.read(stream);
  if (values === null) return false;
  const knownToFit = ({ slot, values: fitting }: Condition): boolean | null => {
    const value = values.get(slot);
    return value === undefined ? null : fitting.some((one) => one.equals(value));
  };
  if (route.conditions.some((condition) => knownToFit(condition) === false)) return false;
  return !routes
    .slice(0, index)
    .some(({ conditions }) => conditions.every((condition) => knownToFit(condition) === true));
}

function nameReader({ template, slots, partition }: NonNullable<NamingRoute['target']>): NameReader {
  const { literals } = template;
  const columns = slots.filter((slot) => slot !== PARTITION);
  const isUnambiguous =
    columns.length <= 1 &&
    slots.length <= 2 &&
    literals.slice(1, -1).every((literal) => /^\D+$/.test(literal));
  // A name with more holes can be read in several ways.
  if (!isUnambiguous) return (stream) => (isLike(literals, stream) ? new Map() : null);
  const [first, ...rest] = literals.map((literal) => literal.replaceAll(/[^\p{L}\p{N}]/gu, escaped));
  const holes = slots.map((slot) => (slot === PARTITION ? '(0|[1-9][0-9]*)' : '(.+)'));
  const pattern = new RegExp(`^${first}${holes.map((hole, index) => hole + rest[index]).join('')}$`, 'su');
  return (stream) => {
    const match = pattern.exec(stream);
    if (match === null) return null;
    const values = new Map<number, Buffer>();
    for (const [hole, slot] of slots.entries()) {
      const text = match[hole + 1] as string;
      if (slot !== PARTITION) values.set(slot, Buffer.from(text));
      else if (Number(text) >= (partition?.count ?? 0)) return null;
    }
    return values;
  };
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
}

/** Whether a name is the literals in their order with something between any two. Without backtracking: names are data. */
function isLike(literals: readonly string[], name: string): boolean {
  const first = literals[0] as string;
  const last = literals.at(-1) as string;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  for (const literal of literals.slice(1, -1)) {
    const found = name.indexOf(literal, at + 1);
    if (found === -1) return false;
    at = found + literal.length;
  }
  return at + 1 <= name.length - last.length;
}
