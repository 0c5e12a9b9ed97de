import { randomBytes } from 'node:crypto';
import { freePort } from './free-port.ts';
import { type RedisOptions, type RedisServer, startRedis } from './redis.ts';
import { callRedis, redisInfo, untilServers } from './redis-call.ts';
import { SlotMigration } from './redis-slot-migration.ts';

export interface ClusterNode extends RedisServer {
  readonly id: string;
}

/** Six nodes of a Redis Cluster on the loopback: at first the first three are masters, each with one replica. */
export interface RedisCluster extends AsyncDisposable {
  readonly nodes: readonly ClusterNode[];
  /** `host:port` of each, in the same order. */
  readonly addresses: readonly string[];
  /** Of the first node, with the password. */
  readonly url: string;
  readonly password: string;
  slotOf(key: string): Promise<number>;
  /** The node that serves a slot, as the nodes that answer see it. */
  ownerOf(slot: number): Promise<ClusterNode>;
  /** Those that follow a node now. */
  replicasOf(master: ClusterNode): Promise<ClusterNode[]>;
  /** CLUSTER FAILOVER on a replica; resolves when it is the master in the eyes of every node that answers. */
  failover(replica: ClusterNode, how: 'FORCE' | 'TAKEOVER'): Promise<void>;
  /** Moves a slot step by step, so that a test can stop in the middle. */
  migration(slot: number, to: ClusterNode): Promise<SlotMigration>;
  /** Resolves when every node that answers says that all slots are served, and its replicas are in step. */
  untilOk(): Promise<void>;
  dispose(): Promise<void>;
}

const MASTER_COUNT = 3;
const NODE_COUNT = 6;
const SLOT_COUNT = 16_384;
const NODE_TIMEOUT_MS = 1_000;
const ANSWER_TIMEOUT_MS = 2_000;

export interface ClusterOptions extends RedisOptions {
  /** Further arguments, for each node anew. */
  readonly nodeArgs?: () => Promise<readonly string[]>;
}

export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const password = randomBytes(12).toString('hex');
  const nodes: ClusterNode[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map(async (node) => await node.dispose()));
  };
  try {
    for (let count = 0; count < NODE_COUNT; count += 1) nodes.push(await startNode(password, options));
    await join(nodes);
    const cluster = describe(nodes, password, dispose);
    await cluster.untilOk();
    return cluster;
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function startNode(password: string, options: ClusterOptions): Promise<ClusterNode> {
  const settings: Readonly<Record<string, string>> = {
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    'cluster-node-timeout': String(NODE_TIMEOUT_MS),
    'cluster-announce-ip': '127.0.0.1',
    // Its own port plus 10,000 would lie where outgoing connections get theirs.
    'cluster-port': String(await freePort()),
    'repl-ping-replica-period': '1',
    requirepass: password,
    masterauth: password,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const own = (await options.nodeArgs?.()) ?? [];
  const server = await startRedis({ ...options, args: [...args, ...(options.args ?? []), ...own] });
  try {
    const id = String(await callRedis(server.url, 'CLUSTER', 'MYID'));
    // Not spread: `pid` is of the current life.
    return Object.defineProperty(server, 'id', { value: id, enumerable: true }) as ClusterNode;
  } catch (error) {
    await server.dispose();
    throw error;
  }
}

/** What `redis-cli --cluster create` does. */
async function join(nodes: readonly ClusterNode[]): Promise<void> {
  for (const [index, node] of nodes.entries()) {
    await callRedis(node.url, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    if (index >= MASTER_COUNT) continue;
    const from = Math.ceil((index * SLOT_COUNT) / MASTER_COUNT);
    const to = Math.ceil(((index + 1) * SLOT_COUNT) / MASTER_COUNT) - 1;
    await callRedis(node.url, 'CLUSTER', 'ADDSLOTSRANGE', from, to);
  }
  const [first, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
  const busPorts = await Promise.all(nodes.map(busPortOf));
  for (const [index, other] of others.entries()) {
    await callRedis(first.url, 'CLUSTER', 'MEET', '127.0.0.1', other.port, busPorts[index + 1] as number);
  }
  await untilServers('the nodes to know each other', async () => {
    const views = await Promise.all(nodes.map(readNodes));
    return views.every((rows) => rows.length === NODE_COUNT && rows.every((row) => !row.isUncertain));
  });
  for (const [index, replica] of nodes.slice(MASTER_COUNT).entries()) {
    await callRedis(replica.url, 'CLUSTER', 'REPLICATE', (nodes[index] as ClusterNode).id);
  }
  await untilServers('every node to know the replicas', async () => {
    const views = await Promise.all(nodes.map(readNodes));
    return views.every(
      (rows) => rows.filter((row) => row.masterId !== null).length === NODE_COUNT - MASTER_COUNT,
    );
  });
}

async function busPortOf(node: ClusterNode): Promise<number> {
  const [, port] = (await callRedis(node.url, 'CONFIG', 'GET', 'cluster-port')) as [string, string];
  return Number(port);
}

function describe(
  nodes: readonly ClusterNode[],
  password: string,
  dispose: () => Promise<void>,
): RedisCluster {
  const byId = (id: string): ClusterNode => {
    const node = nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new Error(`no node of this cluster has the id ${id}`);
    return node;
  };
  /** One view of each node that answers. A stopped one would hold up the rest. */
  const views = async (): Promise<NodeRow[][]> => {
    const read = await Promise.all(
      nodes.map(async (node) => await within(ANSWER_TIMEOUT_MS, readNodes(node))),
    );
    return read.filter((rows) => rows !== undefined);
  };
  const ownerIn = (rows: readonly NodeRow[], slot: number): string | undefined =>
    rows.find((row) => row.isMaster && row.slots.some(([from, to]) => from <= slot && slot <= to))?.id;
  const ownerOf = async (slot: number): Promise<ClusterNode> => {
    let owner: string | undefined;
    await untilServers(`one owner of slot ${slot}`, async () => {
      const owners = new Set((await views()).map((rows) => ownerIn(rows, slot)));
      owner = [...owners][0];
      return owners.size === 1 && owner !== undefined;
    });
    return byId(owner as string);
  };
  return {
    nodes,
    addresses: nodes.map(({ port }) => `127.0.0.1:${port}`),
    url: (nodes[0] as ClusterNode).url,
    password,
    async slotOf(key) {
      return Number(
        await Promise.any(nodes.map(async (node) => await callRedis(node.url, 'CLUSTER', 'KEYSLOT', key))),
      );
    },
    ownerOf,
    async replicasOf(master) {
      const [rows = []] = await views();
      return rows.filter((row) => row.masterId === master.id).map((row) => byId(row.id));
    },
    async failover(replica, how) {
      await callRedis(replica.url, 'CLUSTER', 'FAILOVER', how);
      await untilServers(`the node on port ${replica.port} to be master`, async () => {
        const seen = await views();
        return seen.every((rows) => rows.some((row) => row.id === replica.id && row.isMaster));
      });
    },
    async migration(slot, to) {
      return new SlotMigration({ slot, from: await ownerOf(slot), to, nodes });
    },
    async untilOk() {
      await untilServers('the cluster to be whole', async () => {
        const answering = await Promise.all(
          nodes.map(async (node) => await within(ANSWER_TIMEOUT_MS, isWhole(node))),
        );
        const known = answering.filter((whole) => whole !== undefined);
        return known.length > 0 && known.every(Boolean);
      });
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

async function isWhole(node: ClusterNode): Promise<boolean> {
  const state = String(await callRedis(node.url, 'CLUSTER', 'INFO'));
  const info = await redisInfo(node.url, 'replication');
  return (
    state.includes('cluster_state:ok') && (info['role'] === 'master' || info['master_link_status'] === 'up')
  );
}

async function within<T>(timeoutMs: number, asking: Promise<T>): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, timeoutMs, undefined));
  return await Promise.race([asking.catch(() => undefined), late]);
}

interface NodeRow {
  readonly id: string;
  readonly isMaster: boolean;
  /** Still shaking hands, or held for dead. */
  readonly isUncertain: boolean;
  readonly masterId: string | null;
  readonly slots: readonly (readonly [from: number, to: number])[];
}

/** CLUSTER NODES: id, address, flags, master, ping, pong, epoch, link, slots. */
async function readNodes(node: ClusterNode): Promise<NodeRow[]> {
  const text = String(await callRedis(node.url, 'CLUSTER', 'NODES'));
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', , flags = '', masterId = '-', , , , , ...slots] = line.split(' ');
      const flagList = flags.split(',');
      return {
        id,
        // A node that another has failed over goes on calling itself one until it hears of it.
        isMaster: flagList.includes('master') && !flagList.includes('fail'),
        isUncertain: flagList.some((flag) => flag === 'handshake' || flag.startsWith('fail')),
        masterId: masterId === '-' ? null : masterId,
        slots: slots
          .filter((range) => !range.startsWith('['))
          .map((range) => {
            const [from = 0, to = from] = range.split('-').map(Number);
            return [from, to] as const;
          }),
      };
    });
}
