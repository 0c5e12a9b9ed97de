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
  if (was.table !== is.table) changes.push('the table is not the one of before');
  else if (was.member !== is.member) changes.push(describeMember(was.member, is.member));
  if (was.schema !== is.schema) changes.push('the schema was added to the publication or taken out of it');
  if (was.ancestor !== is.ancestor)
    changes.push('the table that this one is a partition of was added or taken out');
  return changes.join('; ');
}

function describeMember(was: string | null, is: string | null): string {
  if (is === null) return 'the table was taken out of the publication';
  if (was === null) return 'the table was added to the publication';
  return 'the table was taken out of the publication and added again, perhaps with another row filter or column list';
}

type Part = 'publication' | 'table' | 'member' | 'schema' | 'ancestor';

/** `publication 16390:740 table 16385 member 16391:740 schema`: a word without a value says that there is none. */
function parseIdentity(identity: string): Readonly<Record<Part, string | null>> {
  const parts = { publication: null, table: null, member: null, schema: null, ancestor: null } as Record<
    Part,
    string | null
  >;
  let part: Part | null = null;
  for (const word of identity.split(' ')) {
    if (word in parts) part = word as Part;
    else if (part !== null && word !== '') parts[part] = word;
  }
  return parts;
}

function oidOf(oidAndVersion: string): string | undefined {
  return oidAndVersion.split(':')[0];
}
