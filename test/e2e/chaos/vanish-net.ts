// A fleet of home nodes that keeps small objects, of which a share vanishes at once: what was lost is compared with what
// the arithmetic expects, and what kept a holder has to come back to its target. Or a node drops files, and tells nobody.

import { setTimeout as delay } from "node:timers/promises";
import pLimit from "p-limit";
import type { LocalNetwork } from "../../../cli/local/network.ts";
import { nodeHost } from "../../../cli/node-host.ts";
import {
  chunkSourceOf,
  domainKeysOf,
  edgeOf,
  hostFor,
  type Settings,
  serversOf,
} from "../../../cli/settings.ts";
import { type BatchRequest, publishBatch } from "../../../lib/client/publish-batch.ts";
import { Server } from "../../../lib/client/server.ts";
import { HoldfastError } from "../../../lib/error.ts";
import { type Hash, parseHash } from "../../../lib/hash.ts";
import { parseName } from "../../../lib/names.ts";
import { CHUNKS_PER_PLAN_MAX } from "../../../lib/wire/chunks.ts";
import { SeededRandom } from "../../random.ts";
import { sha256 } from "../object-reads.ts";
import { Publisher } from "../publisher.ts";
import { endNetwork, sharedView, startNetwork } from "../setup.ts";
import { Disks, deleteFiles, type Survey } from "./disks.ts";
import { type FleetNode, NodeFleet } from "./node-fleet.ts";

const OBJECT_BYTES = { min: 1024, max: 4096 };
const READS_AT_ONCE = 8;
const POLL_MS = 1000;

export interface VanishOptions {
  seed: string;
  nodes: number;
  replicas: number;
  /** Each is one payload chunk and a Manifest. */
  objects: number;
  settings: Readonly<Record<string, string>>;
}

export interface VanishFigures {
  chunks: number;
  vanished: number;
  /** Chunks all of whose holders are among those that vanish, on average, if all nodes are equally likely to hold one. */
  lostExpected: number;
  /** Chunks all of whose holders did vanish. */
  lostAtOnce: number;
  /** Chunks that lie nowhere afterwards. */
  lost: number;
  /** Chunks that could not be read afterwards although a node has them. */
  unreadable: number;
  /** Chunks that kept a holder and are not on their target, and how long it took until there were none. */
  short: number;
  backAfterMs: number;
}

export class VanishNet {
  readonly fleet: NodeFleet;
  readonly chunks = new Set<Hash>();
  readonly #options: VanishOptions;
  readonly #network: LocalNetwork;
  readonly #publisher: Publisher;
  readonly #disks = new Disks();
  readonly #settings: Settings;

  private constructor(options: VanishOptions, network: LocalNetwork, publisher: Publisher) {
    this.#options = options;
    this.#network = network;
    this.#publisher = publisher;
    this.fleet = new NodeFleet(network);
    this.#settings = {
      edgeUrls: [network.edgeUrl],
      fromUrls: [],
      dohUrls: [network.dohUrl],
      key: null,
      author: null,
      delegation: null,
      seenFolder: `${publisher.folder}/seen`,
    };
  }

  /** Starts the fleet and publishes. */
  static async start(options: VanishOptions): Promise<VanishNet> {
    const network = await startNetwork(0, 0, options.settings);
    const net = new VanishNet(options, network, await Publisher.create(sharedView(network)));
    await net.fleet.add(options.nodes);
    await net.#publish();
    return net;
  }

  async stop(): Promise<void> {
    await this.fleet.stop();
    await endNetwork(this.#network);
  }

  node(number: number): FleetNode {
    const node = this.fleet.nodes[number];
    if (node === undefined) throw new RangeError(`the fleet has no node ${number}`);
    return node;
  }

  survey(): Survey {
    return this.#disks.survey(this.fleet.nodes);
  }

  /** So many nodes vanish at once; returns when what is left is back on its target, or the time is over. */
  async vanish(count: number, timeoutMs: number): Promise<VanishFigures> {
    const { seed, nodes, replicas } = this.#options;
    const random = new SeededRandom(seed, "vanish");
    const chosen = random.shuffled(this.fleet.nodes).slice(0, count);
    const doomed = new Set(chosen.map(({ name }) => name));
    const before = this.survey();
    const lostAtOnce = [...this.chunks].filter((hash) =>
      before.nodesOf(hash).every((name) => doomed.has(name)),
    );
    await this.fleet.vanish(chosen);
    const start = performance.now();
    await this.until(() => this.#short().length === 0, timeoutMs);
    const backAfterMs = performance.now() - start;
    const after = this.survey();
    return {
      chunks: this.chunks.size,
      vanished: count,
      lostExpected: this.chunks.size * shareOf(count, nodes, replicas),
      lostAtOnce: lostAtOnce.length,
      lost: [...this.chunks].filter((hash) => after.copiesOf(hash) === 0).length,
      unreadable: await this.#unreadable(after),
      short: this.#short().length,
      backAfterMs,
    };
  }

  /** A share of a node's files is gone, and it does not know; returns which chunks. */
  drop(node: FleetNode, share: number): Hash[] {
    const before = this.survey();
    deleteFiles(node, share, new SeededRandom(this.#options.seed, "drop"));
    const after = this.survey();
    const had = (survey: Survey, hash: Hash) => survey.nodesOf(hash).includes(node.name);
    return [...this.chunks].filter((hash) => had(before, hash) && !had(after, hash));
  }

  /** The chunks of which the edge lists the node as a holder. */
  async listedOf(node: FleetNode, chunks: readonly Hash[]): Promise<Hash[]> {
    const edge = new Server(this.#network.edgeUrl, nodeHost.fetch);
    const listed: Hash[] = [];
    for (let at = 0; at < chunks.length; at += CHUNKS_PER_PLAN_MAX) {
      const answer = await edge.locate(chunks.slice(at, at + CHUNKS_PER_PLAN_MAX));
      listed.push(...answer.chunks.flatMap(({ hash, holders }) => (holders.includes(node.id) ? [hash] : [])));
    }
    return listed;
  }

  /** True once it is so; false after `timeoutMs`. */
  async until(isSo: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!(await isSo())) {
      if (performance.now() > deadline) return false;
      await delay(POLL_MS);
    }
    return true;
  }

  /** Chunks that have a holder, and fewer than they should. */
  #short(): Hash[] {
    const survey = this.survey();
    const { replicas } = this.#options;
    return [...this.chunks].filter((hash) => survey.copiesOf(hash) > 0 && survey.copiesOf(hash) < replicas);
  }

  async #publish(): Promise<void> {
    const { seed, objects, replicas } = this.#options;
    const { domain, author } = this.#publisher;
    const servers = serversOf(this.#settings);
    const requests = Array.from({ length: objects }, (_, i): BatchRequest => {
      const random = new SeededRandom(seed, "object", i);
      const bytes = random.bytes(random.between(OBJECT_BYTES.min, OBJECT_BYTES.max));
      return {
        name: parseName(`object-${i}`),
        open: () => blocksOf(bytes),
        sizeBytes: bytes.length,
        redundancy: { replicas },
        contentType: "application/octet-stream",
      };
    });
    const outcomes = publishBatch(requests, {
      ...{ domain, author, servers },
      host: hostFor(servers),
      edge: edgeOf(this.#settings),
      domainKeys: domainKeysOf(this.#settings, "write"),
      signer: await this.#publisher.signer(),
    });
    for await (const outcome of outcomes) {
      if (outcome.status !== "published") throw new Error(`an object is ${outcome.status}`);
      this.chunks.add(outcome.entry.manifest);
    }
    for await (const { open } of requests)
      for await (const bytes of open()) this.chunks.add(parseHash(sha256(bytes)));
  }

  /** How many of the chunks that lie somewhere cannot be had through the edge. */
  async #unreadable(survey: Survey): Promise<number> {
    const source = chunkSourceOf(serversOf(this.#settings), () => undefined);
    const limit = pLimit(READS_AT_ONCE);
    const kept = [...this.chunks].filter((hash) => survey.copiesOf(hash) > 0);
    const read = async (hash: Hash): Promise<number> => {
      try {
        await source.get({ hash, sizeBytes: null });
        return 0;
      } catch (error) {
        if (error instanceof HoldfastError) return 1;
        throw error;
      }
    };
    const failed = await Promise.all(kept.map((hash) => limit(() => read(hash))));
    return failed.reduce((sum, one) => sum + one, 0);
  }
}

/** The share of chunks all of whose holders are among `gone` of `nodes`: C(gone, copies) / C(nodes, copies). */
export function shareOf(gone: number, nodes: number, copies: number): number {
  return Array.from({ length: copies }, (_, i) => (gone - i) / (nodes - i)).reduce((a, b) => a * b, 1);
}

async function* blocksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
