import { describe, expect, test } from 'vitest';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { preferFailover } from '../../../src/relay/create-slot.ts';

const SERVER = { versionNumber: 170_010, isInRecovery: false };

function refusal(sqlState: string): WalrelayError {
  return new WalrelayError('PG_REFUSED', `Postgres says: no (SQLSTATE ${sqlState})`, {
    cause: Object.assign(new Error('no'), { code: sqlState }),
  });
}

describe('a slot', () => {
  test.each(['0A000', '42883', '42601'])(
    'is made plain, and the reason told, where the server calls itself 17 and refuses failover with %s',
    async (sqlState) => {
      const create = async (isFailover: boolean) => {
        if (isFailover) throw refusal(sqlState);
        return { snapshot: 'plain' };
      };
      expect(await preferFailover(SERVER, create)).toEqual({
        snapshot: 'plain',
        isFailover: false,
        refusal: refusal(sqlState).message,
      });
    },
  );

  test('is not tried a second time when the refusal is about anything else', async () => {
    const asked: boolean[] = [];
    const create = async (isFailover: boolean): Promise<{ snapshot: string }> => {
      asked.push(isFailover);
      throw refusal('42710');
    };
    await expect(preferFailover(SERVER, create)).rejects.toThrow('42710');
    expect(asked).toEqual([true]);
  });

  test('is plain from the first on a server that has no failover', async () => {
    const create = async (isFailover: boolean) => ({ asked: isFailover });
    expect(await preferFailover({ ...SERVER, versionNumber: 160_004 }, create)).toEqual({
      asked: false,
      isFailover: false,
      refusal: null,
    });
  });
});
