import { taggedKey } from '../core/own-keys.ts';
import { hashTag } from './hash-slot.ts';

/** The key of the hash that remembers a stream's lane: on a cluster each hash tag has one. */
export function laneKeyOf(stream: string, metaKey: string, isCluster: boolean): string {
  return isCluster ? taggedKey(metaKey, hashTag(stream)) : metaKey;
}
