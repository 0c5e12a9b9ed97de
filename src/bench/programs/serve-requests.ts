/**
 * The child's end of ProgramProcess: answers one request after the other, and ends with the parent. The channel
 * closes however the parent dies, SIGKILL included.
 */
export function serveRequests(handlers: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on('disconnect', () => process.exit(0));
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.stack ?? error.message}\n`, () => process.exit(1));
  });
  process.on('message', (request: ProgramRequest) => {
    void answer(handlers, request).then((reply) => process.send?.(reply));
  });
}

async function answer(
  handlers: Readonly<Record<string, (argument: never) => unknown>>,
  { id, name, argument }: ProgramRequest,
): Promise<ProgramReply> {
  try {
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`no such request: ${name}`);
    return { id, result: await handler(argument as never) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message || error.name : String(error) };
  }
}

export interface ProgramRequest {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

export interface ProgramReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** Microseconds of the monotonic clock that all processes of this machine share. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
