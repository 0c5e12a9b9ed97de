import { createHash } from 'node:crypto';
import type { RedisConnection } from './redis-connection.ts';
import { unknownReply } from './redis-reply.ts';

/** A script that is sent once a session and named by its digest afterwards: a batch carries none, and pays no round trip. */
export class LoadedScript {
  readonly sha: string;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    this.sha = createHash('sha1').update(text).digest('hex');
  }

  async load(redis: RedisConnection): Promise<void> {
    const reply = await redis.command('loading a script', 'SCRIPT', 'LOAD', this.text);
    if (reply !== this.sha) throw unknownReply('the loading of a script');
  }
}
