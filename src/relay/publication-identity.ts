/**
 * Reads the identity that the lane state remembers of a publication (see PublicationFacts), and says in words what
 * differs between two of them. Pure. What it can't say is what happened in between: two versions of a row prove that
 * it was altered, not that it was altered only once.
 */
export function describeIdentityChange(before: string, now: string): string {
  const was = parseIdentity(before);
  const is = parseIdentity(now);
  const changes: string[] = [];
  if (was.publication === null || is.publication === null) changes.push('the publication is gone');
  else if (oidOf(was.publication) !== oidOf(is.publication))
    changes.push('the publication was dropped and made again');
  else if (was.publication !== is.publication)
    changes.push('the publication was altered (what it publishes, its options, or its owner)');
  changes.push(...describeTables(was.tables, is.tables));
  const added = is.messages.filter((prefix) => !was.messages.includes(prefix));
  const removed = was.messages.filter((prefix) => !is.messages.includes(prefix));
  if (added.length > 0) changes.push(`new among the outboxes: messages with the prefix ${added.join(', ')}`);
  if (removed.length > 0)
    changes.push(`no longer among the outboxes: messages with the prefix ${removed.join(', ')}`);
  return changes.join('; ');
}

function describeTables(was: readonly TableParts[], is: readonly TableParts[]): string[] {
  const [first] = was;
  const [other] = is;
  // Of one table, whichever it is: swapped or not.
  if (was.length === 1 && is.length === 1 && first !== undefined && other !== undefined) {
    return first.table === other.table
      ? describeTable(first, other, 'the table')
      : [
          'the table is not the one of before',
          ...describeTable({ ...first, member: other.member }, other, 'the table'),
        ];
  }
  const added = is.filter(({ table }) => !was.some((one) => one.table === table));
  const removed = was.filter(({ table }) => !is.some((one) => one.table === table));
  const changes = is.flatMap((now) => {
    const before = was.find(({ table }) => table === now.table);
    return before === undefined ? [] : describeTable(before, now, `the table with the OID ${now.table}`);
  });
  if (added.length > 0) changes.push(`new among the outboxes: the tables with the OIDs ${oids(added)}`);
  if (removed.length > 0)
    changes.push(`no longer among the outboxes: the tables with the OIDs ${oids(removed)}`);
  return changes;
}

function describeTable(was: TableParts, is: TableParts, name: string): string[] {
  const changes: string[] = [];
  if (was.member !== is.member) changes.push(describeMember(was.member, is.member, name));
  if (was.schema !== is.schema) changes.push('the schema was added to the publication or taken out of it');
  if (was.ancestor !== is.ancestor)
    changes.push('the table that this one is a partition of was added or taken out');
  return changes;
}

function describeMember(was: string | null, is: string | null, name: string): string {
  if (is === null) return `${name} was taken out of the publication`;
  if (was === null) return `${name} was added to the publication`;
  return `${name} was taken out of the publication and added again, perhaps with another row filter or column list`;
}

function oids(tables: readonly TableParts[]): string {
  return tables.map(({ table }) => table ?? '(none)').join(', ');
}

interface TableParts {
  table: string | null;
  member: string | null;
  schema: string | null;
  ancestor: string | null;
}

/**
 * `publication 16390:740 table 16385 member 16391:740 schema`: a word without a value says that there is none. Of several
 * tables, everything from `table` on is said of each. Behind them, `messages` and the prefixes of those that are events.
 */
function parseIdentity(identity: string): {
  readonly publication: string | null;
  readonly tables: readonly TableParts[];
  readonly messages: readonly string[];
} {
  let publication: string | null = null;
  let messages: readonly string[] = [];
  const tables: TableParts[] = [];
  let part: 'publication' | 'messages' | keyof TableParts | null = null;
  for (const word of identity.split(' ')) {
    if (part !== 'messages' && (word === 'publication' || word === 'messages' || isTablePart(word))) {
      part = word;
      if (word === 'table') tables.push({ ...NO_TABLE });
    } else if (part === 'publication') publication = word;
    else if (part === 'messages') messages = word.split(',');
    else if (part !== null) (tables.at(-1) as TableParts)[part] = word;
  }
  return {
    publication,
    tables: tables.length === 0 && messages.length === 0 ? [NO_TABLE] : tables,
    messages,
  };
}

const NO_TABLE: TableParts = { table: null, member: null, schema: null, ancestor: null };

function isTablePart(word: string): word is keyof TableParts {
  return word === 'table' || word === 'member' || word === 'schema' || word === 'ancestor';
}

function oidOf(oidAndVersion: string): string | undefined {
  return oidAndVersion.split(':')[0];
}
