// What a home node tells the edges that it serves of what it holds, and strangers not: over a real tunnel and a real listener.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hash, PARTITION_COUNT, partitionOf } from "../../lib/hash.ts";
import {
  type DigestsAnswer,
  differingPartitions,
  digestInventory,
  digestPartitions,
  INVENTORY_DIGESTS_BYTES,
  type ListedChunks,
  type ListedStatements,
  parseDigests,
  parseListedChunks,
  parseListedStatements,
} from "../../lib/inventory-digests.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  ManualClock,
  postNames,
  problemIn,
  publicationOf,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";
import { type Connection, Edge, untilState } from "./test-edge.ts";

const cleanup = new Cleanup();
let node: TestNode;
let connection: Connection;

beforeEach(async () => {
  const dns = await TestDns.start(cleanup);
  const clock = new ManualClock();
  const edge = await Edge.start(cleanup, clock);
  node = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url] } });
  connection = await edge.connection(0);
  connection.challenge.node = node.id;
  await connection.register();
  await untilState(node, "registered");
});
afterEach(() => cleanup.run());

async function ask(path: string): Promise<Response> {
  const { status, headers, body } = await connection.opener.request({
    head: { method: "GET", path, headers: [] },
    body: null,
  });
  return new Response(body as ReadableStream | null, { status, headers });
}

async function askJson<T>(path: string): Promise<T> {
  const response = await ask(path);
  expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
  return (await response.json()) as T;
}

/** The hashes of chunks that the node was given, in order. */
async function store(count: number): Promise<Hash[]> {
  const publisher = await createPublisher(node);
  const chunks = Array.from({ length: count }, (_, i) => chunkOf(100 + i));
  for (const chunk of chunks) expect((await putChunk(node, publisher, chunk)).status).toBe(201);
  return chunks.map(({ hash }) => hash).sort();
}

async function* each(hashes: Hash[]): AsyncGenerator<{ hash: Hash }> {
  for (const hash of hashes) yield { hash };
}

describe("an inventory", () => {
  it("says by digests what the node holds, and no more than that where the edge knows it", async () => {
    const empty = parseDigests(await askJson("/inventory"), null).digests;
    expect(empty?.partitions).toEqual(new Uint8Array(INVENTORY_DIGESTS_BYTES));
    const hashes = await store(20);
    const answer = await askJson<DigestsAnswer>("/inventory");
    const { digests, count } = parseDigests(answer, null);
    expect(digests).toEqual(await digestInventory(each(hashes)));
    expect(count).toBe(20);
    const partitions = [...new Set(hashes.map(partitionOf))].sort((a, b) => a - b);
    expect(
      differingPartitions(empty?.partitions ?? new Uint8Array(), digests?.partitions ?? new Uint8Array()),
    ).toEqual(partitions);
    const again = await askJson<DigestsAnswer>(`/inventory?known=${answer.root}`);
    expect(again).toEqual({ root: answer.root, partitions: null, count: 20 });
    expect(parseDigests(again, answer.root).digests).toBeNull();
  });

  it("lists a partition's chunks with their sizes, after the one that is named", async () => {
    const hashes = await store(20);
    const sizes = new Map<Hash, number>();
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      if (!hashes.some((hash) => partitionOf(hash) === partition)) continue;
      const { chunks, next } = parseListedChunks(await askJson(`/inventory/${partition}`), partition, null);
      expect(next).toBeNull();
      for (const { hash, size } of chunks) sizes.set(hash, size);
      const [first] = chunks;
      const rest = await askJson<ListedChunks>(`/inventory/${partition}?after=${first?.hash}`);
      expect(rest.chunks).toEqual(chunks.slice(1));
    }
    expect([...sizes.keys()].sort()).toEqual(hashes);
    expect([...sizes.values()].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => 100 + i));
  });

  it("says the same of the statements that it keeps, by their Name Hash, and gives each with what came along", async () => {
    const publications = await Promise.all(
      Array.from({ length: 12 }, (_, i) => publicationOf(node, `kept ${i}`)),
    );
    await postNames(
      node,
      publications.map(({ json }) => json),
    );
    const { digests, count } = parseDigests(await askJson("/inventory/names"), null);
    expect(count).toBe(12);
    const its = (partition: number) =>
      publications
        .filter(({ nameHash }) => partitionOf(nameHash) === partition)
        .map(({ id }) => id)
        .sort();
    expect(digests).toEqual(digestPartitions(its));
    const again = await askJson<DigestsAnswer>(`/inventory/names?known=${digests?.root}`);
    expect(again.partitions).toBeNull();
    for (const { nameHash, id, json } of publications) {
      const partition = partitionOf(nameHash);
      const ids = its(partition);
      const path = `/inventory/names/${partition}`;
      expect(parseListedStatements(await askJson(path), null)).toEqual({ ids, next: null });
      const rest = await askJson<ListedStatements>(`${path}?after=${ids[0]}`);
      expect(rest.ids).toEqual(ids.slice(1));
      expect(await askJson(`/inventory/statement/${id}`)).toEqual({ ...json.version, witnesses: [] });
    }
  });

  it("is for the edges that the node serves: at the listener there is none", async () => {
    for (const path of [
      ...["/inventory", "/inventory/0", "/inventory/names", "/inventory/names/0"],
      `/inventory/statement/${"0".repeat(64)}`,
    ])
      expect(await problemIn(await fetch(`${node.url}${path}`))).toBe("404 not-found");
  });

  it.each([
    ["/inventory/1024", "400 invalid-request"],
    ["/inventory/01", "400 invalid-request"],
    ["/inventory?known=nothing", "400 invalid-hash"],
    ["/inventory/1?after=nothing", "400 invalid-hash"],
    ["/inventory/x", "404 not-found"],
    ["/inventory/names/1024", "400 invalid-request"],
    ["/inventory/names?known=nothing", "400 invalid-hash"],
    ["/inventory/statement/nothing", "400 invalid-hash"],
    [`/inventory/statement/${"0".repeat(64)}`, "404 not-found"],
  ])("is not given at %s: %s", async (path, problem) => {
    expect(await problemIn(await ask(path))).toBe(problem);
  });
});
