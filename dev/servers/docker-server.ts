/** A server from a container image, the fallback where the machine cannot run one itself. */
export interface DockerServer {
  readonly host: string;
  readonly port: number;
  dispose(): Promise<void>;
}

export interface DockerServerOptions {
  readonly image: string;
  readonly port: number;
  readonly command: string[];
  readonly environment?: Record<string, string>;
  /** A line of the log, and how often it must appear before the server counts as started. */
  readonly readyLine: RegExp;
  readonly readyCount: number;
}

/**
 * Undefined when Docker does not answer, which takes milliseconds to find out. testcontainers is imported only
 * here: it is slow to load and most runs never need it. Its own reaper removes the container if we are killed.
 */
export async function startInDocker(options: DockerServerOptions): Promise<DockerServer | undefined> {
  const { GenericContainer, Wait, getContainerRuntimeClient } = await import('testcontainers');
  try {
    await getContainerRuntimeClient();
  } catch {
    return undefined;
  }
  const container = await new GenericContainer(options.image)
    .withExposedPorts(options.port)
    .withEnvironment(options.environment ?? {})
    .withCommand(options.command)
    .withWaitStrategy(Wait.forLogMessage(options.readyLine, options.readyCount))
    .start();
  return {
    host: container.getHost(),
    port: container.getMappedPort(options.port),
    async dispose() {
      await container.stop();
    },
  };
}
