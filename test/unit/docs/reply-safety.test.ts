import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { replaceReplySafety } from '../../../dev/docs/generate.ts';
import { REDIS_REPLIES } from '../../../dev/docs/reply-safety/redis-replies.ts';
import {
  codeOfSqlState,
  POSTGRES_PLACES,
  type PostgresPlace,
  SQLSTATES,
} from '../../../dev/docs/reply-safety/sqlstates.ts';
import { classifyReply, replyError } from '../../../src/sink/redis-reply.ts';
import { postgresError } from '../../../src/source/postgres-error.ts';

const ROOT = new URL('../../../', import.meta.url);
const PAGE = readFileSync(new URL('docs/reply-safety.md', ROOT), 'utf8');

function source(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

test('docs/reply-safety.md has the tables that the tests go by', () => {
  expect(replaceReplySafety(PAGE)).toBe(PAGE);
});

test.each(REDIS_REPLIES)('the table says of $name what the code makes of it', ({ reply, code }) => {
  expect(classifyReply(reply.slice(1))).toBe(code);
});

test('every word of Redis and of our scripts that the code knows is in the table', () => {
  const [words = ''] = /CODE_BY_WORD[^]*?\n};/.exec(source('src/sink/redis-reply.ts')) ?? [];
  const known = [...words.matchAll(/^ {2}([A-Z]+): '/gm)].map(([, word]) => word);
  expect(known.length).toBeGreaterThan(15);
  const listed = new Set(REDIS_REPLIES.map(({ reply }) => /^-(\w+)/.exec(reply)?.[1]));
  expect(known.filter((word) => !listed.has(word))).toEqual([]);
});

test('every error that our scripts reply with is in the table', () => {
  const scripts = ['append-script', 'cluster-script'].map((name) => source(`src/sink/${name}.ts`)).join('\n');
  const words = new Set([...scripts.matchAll(/error_reply\('([A-Z]+) /g)].map(([, word]) => word));
  expect(words.size).toBeGreaterThan(3);
  const listed = new Set(REDIS_REPLIES.map(({ reply }) => /^-(\w+)/.exec(reply)?.[1]));
  expect([...words].filter((word) => !listed.has(word))).toEqual([]);
});

test.each(SQLSTATES)('the table says of $state what the code makes of it, in every phase', (sqlState) => {
  for (const [place, { phase }] of Object.entries(POSTGRES_PLACES)) {
    const error = Object.assign(new Error('x'), { code: sqlState.state, severity: 'ERROR' });
    expect(postgresError(error, phase).code).toBe(codeOfSqlState(sqlState, place as PostgresPlace));
  }
});

test('every SQLSTATE that the code knows is in the table', () => {
  const tables = [...source('src/source/postgres-error.ts').matchAll(/'([0-9A-Z]{5})': '[A-Z_]+'/g)];
  const known = new Set(tables.map(([, state]) => state));
  expect(known.size).toBeGreaterThan(10);
  const listed = new Set(SQLSTATES.map(({ state }) => state));
  expect([...known].filter((state) => !listed.has(state as string))).toEqual([]);
});

test('every test on a real server that the tables name exists', () => {
  const named = [...REDIS_REPLIES, ...SQLSTATES].flatMap(({ real = [] }) => real);
  for (const name of named) {
    const [file = '', title = ''] = name.split(' › ');
    expect(source(file)).toContain(`'${title}'`);
  }
});

test('what Redis repeats of a command is not repeated by us', () => {
  const reply = "ERR unknown command 'AUTH', with args beginning with: 'default' 'hunter2' ";
  const error = replyError(reply, 'the connection');
  expect(error.message).toBe("Redis refused the connection: ERR unknown command 'AUTH'");
  expect(error.cause).toBeUndefined();
});

test('what Postgres says of a row is not repeated by us', () => {
  for (const state of ['22P02', '23514', 'P0001']) {
    const thrown = Object.assign(new Error('bad row: hunter2'), { code: state, severity: 'ERROR' });
    const error = postgresError(thrown, 'querying');
    expect(error.message).toContain(state);
    expect(`${error.message} ${String(error.cause)}`).not.toContain('hunter2');
  }
});
