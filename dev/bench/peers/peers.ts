import type { Contestant } from '../../../src/bench/contestant.ts';
import { absentPeer } from './absent-peer.ts';
import { debeziumContestant } from './debezium.ts';
import { outboxPackageContestant } from './pg-transactional-outbox.ts';

/** What `npm run bench -- --peers` adds. What can't run here says why. */
export function peers(): Contestant[] {
  return [
    debeziumContestant({
      id: 'debezium',
      name: 'Debezium Server',
      summary:
        'Replication slot, outbox event router, Redis sink; default settings, by which it polls its queue every 500 ms.',
      tuning: 'defaults',
    }),
    debeziumContestant({
      id: 'debezium-tuned',
      name: 'Debezium Server, low latency',
      summary:
        'The same with poll.interval.ms=1, larger batches, plain strings, the extended format and offsets every second.',
      tuning: 'low-latency',
    }),
    outboxPackageContestant({
      id: 'pg-transactional-outbox',
      name: 'pg-transactional-outbox',
      summary:
        'npm package: replication slot, then for each event a transaction that locks the row, awaits one XADD and marks ' +
        'it; one event at a time, its default. A trigger fills the columns that it needs; a row not visible yet is looked up again.',
      mode: 'sequential',
    }),
    outboxPackageContestant({
      id: 'pg-transactional-outbox-segments',
      name: 'pg-transactional-outbox, by aggregate',
      summary: 'The same with its segment mutex: one event at a time for each aggregate, ten connections.',
      mode: 'segments',
    }),
    outboxPackageContestant({
      id: 'pg-transactional-outbox-polling',
      name: 'pg-transactional-outbox, polling',
      summary:
        'Its polling listener, every 10 ms for up to 50 aggregates, with its own function and indexes.',
      mode: 'polling',
    }),
    absentPeer({
      id: 'sequin',
      name: 'Sequin',
      summary: 'Replication slot, Redis Stream sink.',
      reason: 'it comes as a container image with a database of its own, and the bench starts no containers',
    }),
    absentPeer({
      id: 'redpanda-connect',
      name: 'Redpanda Connect',
      summary: 'Its postgres_cdc input and redis_streams output.',
      reason: 'its binary comes from its own site alone, which the bench does not download programs from',
    }),
  ];
}
