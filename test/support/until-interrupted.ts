const EXIT_INTERRUPTED = 130;

/** The first Ctrl-C asks for an end that leaves no server behind and tells what ran; the second ends the process. */
export function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    const ask = () => {
      if (isAsked) process.exit(EXIT_INTERRUPTED);
      isAsked = true;
      console.error('\nstopping: ending the servers (again to stop at once)');
      resolve();
    };
    process.on('SIGINT', ask);
    process.on('SIGTERM', ask);
  });
}
