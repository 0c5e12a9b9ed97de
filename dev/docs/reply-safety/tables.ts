import { ERROR_CODES, type ErrorCode } from '../../../src/core/error-codes.ts';
import {
  codeOfFault,
  codeOfStrangeAnswer,
  COMMAND_PLACES,
  REDIS_FAULTS,
  SHORT_COUNT,
} from './redis-faults.ts';
import { type Expected, REDIS_PLACES, REDIS_REPLIES, type RedisPlace } from './redis-replies.ts';
import { codeOfSqlState, POSTGRES_PLACES, type PostgresPlace, SQLSTATES } from './sqlstates.ts';

/** The tables of docs/reply-safety.md, by the name of their place in it. They are what the tests go by. */
export const REPLY_SAFETY_TABLES: Readonly<Record<string, () => string>> = {
  'redis-places': () =>
    table(
      ['awaited', 'when the answer is none that it hoped for'],
      Object.values(REDIS_PLACES).map(({ sent, held }) => [sent, held]),
    ),
  'redis-replies': () =>
    table(
      ['answer', 'when', 'code', 'reaction', 'why', 'on a real server'],
      REDIS_REPLIES.map(({ name, when, code, except, why, real }) => [
        name,
        when,
        [linkTo(code), ...Object.entries(except ?? {}).map(exception)].join('; '),
        reactionTo(code),
        why,
        linksTo(real),
      ]),
    ),
  'redis-faults': () =>
    table(
      ['instead of an answer', 'while connecting', 'anywhere else'],
      REDIS_FAULTS.map((fault) => [fault.name, linkTo(codeOfFault(fault, 'ping')), linkTo(fault.code)]),
    ),
  'redis-strange': () => {
    const wanted = COMMAND_PLACES.filter((place) => codeOfStrangeAnswer(place) === 'goes on');
    const judged = COMMAND_PLACES.filter((place) => codeOfStrangeAnswer(place) !== 'goes on');
    return table(
      ['at', 'an answer of another kind'],
      [
        [nameAll(wanted), 'goes on: that there is an answer is all that is wanted'],
        [nameAll(judged), `${linkTo('REDIS_REFUSED')}, ${reactionTo('REDIS_REFUSED')}`],
        [
          `${REDIS_PLACES.append.sent}: ${SHORT_COUNT.name}`,
          `${linkTo(SHORT_COUNT.code)}, ${reactionTo(SHORT_COUNT.code)}`,
        ],
      ],
    );
  },
  'postgres-places': () =>
    table(
      ['place', 'phase'],
      Object.values(POSTGRES_PLACES).map(({ sent, phase }) => [sent, phase]),
    ),
  sqlstates: () =>
    table(
      ['SQLSTATE', 'when', 'code', 'reaction', 'why', 'on a real server'],
      SQLSTATES.map((sqlState) => {
        const codes = [...new Set(placesOf().map((place) => codeOfSqlState(sqlState, place)))];
        return [
          `\`${sqlState.state}\` ${sqlState.name}`,
          sqlState.when,
          codes.length === 1
            ? linkTo(sqlState.code)
            : [
                ...Object.entries(sqlState.inPhase ?? {}).map(([phase, code]) => `${phase}: ${linkTo(code)}`),
                `else ${linkTo(sqlState.code)}`,
              ].join('; '),
          [...new Set(codes.map(reactionTo))].join('; '),
          sqlState.why,
          linksTo(sqlState.real),
        ];
      }),
    ),
};

/** Which test files provoke it; the tests' names are beside the case. */
function linksTo(real: readonly string[] = []): string {
  const files = [...new Set(real.map((name) => name.split(' › ')[0] ?? ''))];
  return files.map((file) => `[${file.replace(/^test\/|\.test\.ts$/g, '')}](../${file})`).join(', ');
}

function placesOf(): PostgresPlace[] {
  return Object.keys(POSTGRES_PLACES) as PostgresPlace[];
}

function exception([place, code]: [string, Expected]): string {
  return `at ${REDIS_PLACES[place as RedisPlace].sent}: ${code === 'goes on' ? code : linkTo(code)}`;
}

function nameAll(places: readonly RedisPlace[]): string {
  return places.map((place) => REDIS_PLACES[place].sent).join(' · ');
}

function linkTo(code: Expected): string {
  return code === 'goes on' ? code : `[${code}](errors.md#${code.toLowerCase()})`;
}

function reactionTo(code: Expected): string {
  if (code === 'goes on') return code;
  const { disposition, exitCode } = ERROR_CODES[code satisfies ErrorCode];
  return disposition === 'retry' ? 'retry' : `${disposition}, exit ${exitCode}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
