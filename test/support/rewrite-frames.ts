import type { FaultProxy } from './fault-proxy.ts';
import { FrameReader } from './protocol-points.ts';

/** Replaces text in what the server says to later connections; of equal length, so that no length is wrong. */
export function rewriteDownstream(proxy: FaultProxy, from: string, to: string): { count: number } {
  if (Buffer.byteLength(from) !== Buffer.byteLength(to)) throw new Error(`${from} is not as long as ${to}`);
  const rewritten = { count: 0 };
  proxy.tap = () => {
    const frames = new FrameReader({ hasStartup: false });
    return {
      onDownstream(chunk) {
        return Buffer.concat(
          frames.push(chunk).map((frame) => {
            if (!frame.includes(from)) return frame;
            const changed = Buffer.from(frame);
            for (let at = changed.indexOf(from); at !== -1; at = changed.indexOf(from, at + 1)) {
              changed.write(to, at);
              rewritten.count += 1;
            }
            return changed;
          }),
        );
      },
    };
  };
  return rewritten;
}
