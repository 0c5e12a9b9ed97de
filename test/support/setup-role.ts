import { randomBytes } from 'node:crypto';
import type { Outbox } from './outbox.ts';

/** A login of a test's own, beside the superuser; it goes with dispose. */
export class Role implements AsyncDisposable {
  readonly name: string;
  /** Of the outbox's database, as this role. */
  readonly url: string;
  readonly #outbox: Outbox;

  private constructor(outbox: Outbox, name: string, password: string) {
    this.#outbox = outbox;
    this.name = name;
    const url = new URL(outbox.databaseUrl);
    url.username = name;
    url.password = password;
    this.url = url.href;
  }

  /** `attributes` as in CREATE ROLE; it has no rights but those of PUBLIC. */
  static async create(outbox: Outbox, attributes: string): Promise<Role> {
    const name = `${outbox.name}_${randomBytes(2).toString('hex')}`;
    const password = randomBytes(12).toString('hex');
    await outbox.query(`CREATE ROLE ${name} ${attributes} PASSWORD '${password}'`);
    return new Role(outbox, name, password);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outbox.query(`DROP OWNED BY ${this.name} CASCADE`);
    await this.#outbox.query(`DROP ROLE ${this.name}`);
  }
}
