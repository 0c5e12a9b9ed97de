/** A server for a test run or the demo, wherever it came from. */
export interface ProvidedServer<Server> {
  readonly url: string;
  /** For people, without a credential. */
  readonly description: string;
  dispose(): Promise<void>;
  /** Present when the server is ours to stop, kill and start. */
  readonly server?: Server;
}

export function givenServer(url: string): ProvidedServer<never> {
  return { url, description: `given: ${withoutPassword(url)}`, dispose: async () => undefined };
}

export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return '(not a URL)';
  const shown = new URL(url);
  shown.password = '';
  // libpq also takes the password as a parameter.
  shown.searchParams.delete('password');
  return shown.href;
}
