// Many real home nodes in one process, reached through a fetch of the net's own: requests are handed to the nodes' HTTP
// function without a socket between, so that a hundred nodes answer hundreds of reads in a second. Chunks lie where the
// real placement puts them, were stored by real uploads, and are read by the real client.

import pLimit from "p-limit";
import { nodeHasher } from "../../cli/node-host.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import { ChunkSource, type HolderFailure } from "../../lib/client/chunk-source.ts";
import { Server } from "../../lib/client/server.ts";
import type { Fetch, FetchInit } from "../../lib/fetch.ts";
import { type Hash, type NodeId, parseHash } from "../../lib/hash.ts";
import { type ChunkRef, encodeManifest, type Manifest, parseManifest } from "../../lib/manifest.ts";
import { type Candidate, placeReplicas } from "../../lib/overlay/placement.ts";
import type { LocateAnswer } from "../../lib/wire/chunks.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { SeededRandom } from "../random.ts";
import { BAD_ANSWERS, type BadAnswer, neverUnless } from "./bad-answers.ts";
import { hashOf } from "./client-fixture.ts";
import {
  type Cleanup,
  createPublisher,
  DOMAIN,
  type Publisher,
  startTestNode,
  TestDns,
  type TestNode,
  uploadHeaders,
} from "./home-node-fixture.ts";

export const REPLICAS = 6;
/** A bad holder is given up after this long. */
export const LIMITS = { idleMs: 400, totalMs: 1200 };
/** Sizes of chunks in bytes: small, so that many fit into a second. */
const CHUNK_BYTES = { min: 4 * 1024, max: 16 * 1024 };
const INDEX = "https://index.example.net";
const UPLOADS_AT_ONCE = 16;
/** Every so many nodes one has no URL of its own, and is asked through the index. */
const RELAYED_EVERY = 3;

export interface StoredObject {
  bytes: Buffer;
  manifest: Manifest;
  manifestHash: Hash;
}

/** Which nodes are bad, and how; by their number. */
export type Faults = ReadonlyMap<number, BadAnswer>;

interface NetNode {
  number: number;
  node: TestNode;
  contact: Contact;
  origin: string;
}

export class Testnet {
  readonly nodes: readonly NetNode[];
  /** Every chunk that was stored, Manifests included. */
  readonly chunks = new Map<Hash, Buffer>();
  readonly objects: StoredObject[] = [];
  readonly #holders = new Map<Hash, NetNode[]>();
  readonly #byOrigin: Map<string, NetNode>;
  readonly #publisher: Publisher;

  private constructor(nodes: readonly NetNode[], publisher: Publisher) {
    this.nodes = nodes;
    this.#byOrigin = new Map(nodes.map((node) => [node.origin, node]));
    this.#publisher = publisher;
  }

  /** Starts `count` home nodes, each with its stores on disk; they end with `cleanup`. */
  static async start(count: number, cleanup: Cleanup): Promise<Testnet> {
    const dns = await TestDns.start(cleanup);
    const starting = Array.from({ length: count }, (_, number) => startNode(number, dns, cleanup));
    const nodes = await Promise.all(starting);
    const [first] = nodes;
    if (first === undefined) throw new RangeError("a net has nodes");
    return new Testnet(nodes, await createPublisher(first.node));
  }

  /** Stores an object of `count` chunks on REPLICAS nodes each. */
  async store(count: number, random: SeededRandom): Promise<void> {
    const pieces = Array.from({ length: count }, () =>
      random.bytes(random.between(CHUNK_BYTES.min, CHUNK_BYTES.max)),
    );
    const bytes = Buffer.concat(pieces);
    const refs: ChunkRef[] = pieces.map((piece) => ({ hash: hashOf(piece), size: piece.length }));
    const manifestBytes = encodeManifest(
      {
        size: bytes.length,
        digest: hashOf(bytes),
        contentType: "application/octet-stream",
        metadata: {},
        redundancy: { replicas: REPLICAS },
      },
      { chunks: refs },
    );
    const limit = pLimit(UPLOADS_AT_ONCE);
    await Promise.all([...pieces, Buffer.from(manifestBytes)].map((piece) => this.#upload(piece, limit)));
    const manifest = parseManifest(manifestBytes);
    this.objects.push({ bytes, manifest, manifestHash: hashOf(manifestBytes) });
  }

  /** The numbers of the nodes that keep a chunk. */
  holdersOf(hash: Hash): number[] {
    return (this.#holders.get(hash) ?? []).map(({ number }) => number);
  }

  bytesOf(hash: Hash): Buffer {
    const bytes = this.chunks.get(hash);
    if (bytes === undefined) throw new RangeError(`the net has no chunk ${hash}`);
    return bytes;
  }

  originOf(number: number): string {
    const node = this.nodes[number];
    if (node === undefined) throw new RangeError(`the net has no node ${number}`);
    return node.origin;
  }

  /** A fetch in which the nodes of `faults` answer GET /chunk badly. Equal seeds make equal faults. */
  fetchWith(faults: Faults, seed: number): Fetch {
    return async (url, init) => {
      const signal = init?.signal ?? new AbortController().signal;
      const asked = this.#route(url);
      const answering = asked === null ? this.#answerIndex(url, init) : this.#ask(asked, faults, seed, init);
      const response = await Promise.race([answering, neverUnless(signal)]);
      return new Response(response.body?.pipeThrough(new TransformStream(), { signal }) ?? null, response);
    };
  }

  sourceWith(fetch: Fetch, options: { onHolderFailed?: (failure: HolderFailure) => void } = {}): ChunkSource {
    return new ChunkSource({
      servers: [new Server(INDEX, fetch)],
      hasher: nodeHasher,
      fetchChunk: createChunkFetch(fetch, LIMITS),
      ...options,
    });
  }

  /** The number of the node that a chunk's URL leads to; null for the index. */
  numberAt(url: string): number | null {
    return this.#route(url)?.node.number ?? null;
  }

  async #upload(bytes: Buffer<ArrayBuffer>, limit: ReturnType<typeof pLimit>): Promise<void> {
    const hash = hashOf(bytes);
    const candidates = this.nodes.map(candidateOf);
    const ids = placeReplicas(
      {
        chunk: hash,
        sizeBytes: bytes.length,
        domain: DOMAIN,
        count: REPLICAS,
        taken: new Set(),
        avoid: new Set(),
        holders: [],
        hoursYield: false,
        nowMs: Date.now(),
      },
      candidates,
    );
    const byId = new Map<NodeId, NetNode>(this.nodes.map((node) => [node.node.id, node]));
    const holders = ids.flatMap((id) => byId.get(id) ?? []);
    await Promise.all(holders.map((holder) => limit(() => this.#put(holder, hash, bytes))));
    this.chunks.set(hash, bytes);
    this.#holders.set(hash, holders);
  }

  async #put({ node, origin }: NetNode, hash: Hash, body: Buffer<ArrayBuffer>): Promise<void> {
    const headers = await uploadHeaders(node, this.#publisher, [hash]);
    const request = new Request(`${origin}/chunk/${hash}`, { method: "PUT", headers, body });
    const { status } = await node.node.fetch(request);
    if (status !== 201) throw new Error(`a node answered an upload with ${status}`);
  }

  /** A node's own URL, or the index's path to it. */
  #route(url: string): { node: NetNode; path: string } | null {
    const { origin, pathname } = new URL(url);
    const [, id, relayed] = /^\/via\/([0-9a-f]{64})(\/.*)$/.exec(pathname) ?? [];
    const node =
      origin === INDEX
        ? this.nodes.find((candidate) => candidate.node.id === id)
        : this.#byOrigin.get(origin);
    return node === undefined ? null : { node, path: relayed ?? pathname };
  }

  async #ask(
    { node, path }: { node: NetNode; path: string },
    faults: Faults,
    seed: number,
    init: FetchInit | undefined,
  ): Promise<Response> {
    const request = new Request(`${node.origin}${path}`, init);
    const honest = await node.node.node.fetch(request);
    const fault = faults.get(node.number);
    if (fault === undefined || honest.status !== 200) return honest;
    const random = new SeededRandom(seed, node.number, path);
    const hash = parseHash(path.slice("/chunk/".length));
    return BAD_ANSWERS[fault]({
      bytes: new Uint8Array(await honest.arrayBuffer()),
      another: new Uint8Array(this.#another(node, hash, random)),
      random,
      idleMs: LIMITS.idleMs,
      signal: init?.signal ?? new AbortController().signal,
    });
  }

  #another(node: NetNode, hash: Hash, random: SeededRandom): Buffer {
    const its = [...this.chunks].filter(
      ([other]) => other !== hash && this.#holders.get(other)?.includes(node) === true,
    );
    return random.pick(its)[1];
  }

  /** The index: where chunks are, and a redirect to the first holder for whoever asks it for one. */
  async #answerIndex(url: string, init: FetchInit | undefined): Promise<Response> {
    const { pathname } = new URL(url);
    if (pathname === "/chunk/locate") return Response.json(this.#locate(JSON.parse(String(init?.body))));
    const [first] = this.#holders.get(parseHash(pathname.slice("/chunk/".length))) ?? [];
    if (first === undefined) return new Response(null, { status: 404 });
    return new Response(null, { status: 307, headers: { location: `${urlOf(first)}${pathname}` } });
  }

  #locate({ chunks }: { chunks: Hash[] }): LocateAnswer {
    const holders = new Map(chunks.map((hash) => [hash, this.#holders.get(hash) ?? []]));
    return {
      chunks: [...holders].map(([hash, nodes]) => ({ hash, holders: nodes.map(({ node }) => node.id) })),
      nodes: [...new Set([...holders.values()].flat())].map(({ contact }) => contact),
    };
  }
}

async function startNode(number: number, dns: TestDns, cleanup: Cleanup): Promise<NetNode> {
  const config = { listen: null, advertise: false };
  const node = await startTestNode(cleanup, dns, { config });
  const origin = `https://node-${number}.example.net`;
  const { key } = await node.node.status();
  const url = number % RELAYED_EVERY === 0 ? null : origin;
  return { number, node, origin, contact: { id: node.id, key, url } };
}

function urlOf({ node, contact }: NetNode): string {
  return contact.url ?? `${INDEX}/via/${node.id}`;
}

function candidateOf({ node }: NetNode): Candidate {
  return {
    ...{
      id: node.id,
      failureDomain: node.id,
      online: true,
      leaving: false,
      freeBytes: 2 ** 40,
      domains: "all",
    },
    ...{ firstSeenMs: 0, standing: 1, hours: null },
  };
}
