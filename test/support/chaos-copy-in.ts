import type pg from 'pg';

/** COPY … FROM STDIN, which pg leaves to whoever brings the messages: the server asks, we send, it completes. */
export class CopyIn {
  readonly #sql: string;
  readonly #text: string;
  #error: Error | null = null;
  #settle: (error: Error | null) => void = () => undefined;

  constructor(sql: string, text: string) {
    this.#sql = sql;
    this.#text = text;
  }

  async run(client: pg.Client): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#settle = (error) => (error === null ? resolve() : reject(error));
      client.query(this as unknown as pg.Submittable);
    });
  }

  submit(connection: CopyConnection): void {
    connection.query(this.#sql);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    connection.sendCopyFromChunk(Buffer.from(this.#text));
    connection.endCopyFrom();
  }

  handleError(error: Error): void {
    this.#error = error;
    this.#settle(error);
  }

  handleReadyForQuery(): void {
    this.#settle(this.#error);
  }

  handleCommandComplete(): void {}
}

interface CopyConnection {
  query(sql: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}
