// Chunks that many ask for: what the platform's cache saves the holders, and what GET /chunk answers for hot and cold ones.

import { SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX, encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { versionKind } from "../../lib/version.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { noteRead, READS_REMEMBERED_MAX } from "../../workers/chunk-cache.ts";
import { bodyOf, bytesOf, EDGE, TestNode } from "./test-node.ts";
import { memberReport } from "./test-rows.ts";

const domain = parseDomain("example.org");
const PATIENCE = { timeout: 10_000, interval: 50 };
let seeds = 0;

interface Chunk {
  bytes: Uint8Array<ArrayBuffer>;
  hash: Hash;
}

/** A chunk that no other test has seen. */
function newChunk(): Chunk {
  const bytes = bytesOf(5000, ++seeds);
  return { bytes, hash: hashBytes(bytes) };
}

const shardOf = (hash: Hash) => env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));

async function recordHolder(chunk: Chunk, node: NodeId): Promise<void> {
  const held = [{ chunk: chunk.hash, node, sizeBytes: chunk.bytes.length }];
  await shardOf(chunk.hash).write({ held, references: [], statements: [] });
}

/** A relayed node that holds the chunk. */
async function relayedHolder(chunk: Chunk): Promise<TestNode> {
  const node = await TestNode.registered();
  node.answer(async () => ({ status: 200, headers: [], body: bodyOf(chunk.bytes) }));
  await recordHolder(chunk, node.id);
  return node;
}

/** A holder with a URL of its own; nobody listens there. */
async function directHolder(chunk: Chunk): Promise<{ id: NodeId; url: string }> {
  const { id, signer } = await TestNode.create();
  const url = "https://node.example.org";
  const key = formatPublicKeyText(signer.key);
  await env.PARTITION_SHARD.getByName(shardName("")).putMember(memberReport(id, { key, url }));
  await recordHolder(chunk, id);
  return { id, url };
}

/** Publishes an object of this one chunk; returns how to read it. */
async function publish(chunk: Chunk): Promise<() => Promise<Response>> {
  const name = parseName(`object-${seeds}`);
  const nameHash = nameHashOf(domain, name);
  const size = chunk.bytes.length;
  const manifest = encodeManifest(
    { size, digest: chunk.hash, contentType: "text/plain", metadata: {}, redundancy: { replicas: 1 } },
    { chunks: [{ hash: chunk.hash, size }] },
  );
  const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(9)));
  const head = { domain, nameHash, name, sequence: 1, previous: null, manifest: hashBytes(manifest), size };
  const dated = { ...head, time: "2026-01-01T00:00:00.000Z", author: "a@example.org" };
  const signed = await signStatement(versionKind, { type: "holdfast-version-1", ...dated }, signer);
  const witness = { bytes: new Uint8Array([1]), signature: "witness signature" };
  const key = formatPublicKeyText(signer.key);
  await shardOf(nameHash).append([
    {
      ...{ ...dated, ...signed, expires: null, key, witness, manifestBytes: manifest },
      right: { by: "domain-key" },
      delegation: null,
    },
  ]);
  return () => SELF.fetch(`${EDGE}/obj/${domain}/${name}`);
}

const cacheKey = (hash: Hash) => `https://chunk.holdfast.invalid/${hash}`;

async function cached(hash: Hash): Promise<Uint8Array | null> {
  const response = await caches.default.match(cacheKey(hash));
  return response === undefined ? null : new Uint8Array(await response.arrayBuffer());
}

async function bytesIn(response: Response): Promise<Uint8Array> {
  expect(response.status).toBe(200);
  return new Uint8Array(await response.arrayBuffer());
}

/** Reads until the chunk is in the cache. */
async function heatUp(chunk: Chunk, read: () => Promise<Response>): Promise<void> {
  for (const _ of [1, 2]) expect(await bytesIn(await read())).toEqual(chunk.bytes);
  await vi.waitUntil(() => cached(chunk.hash), PATIENCE);
}

function getChunk(hash: Hash, init: RequestInit = {}): Promise<Response> {
  return SELF.fetch(`${EDGE}/chunk/${hash}`, { redirect: "manual", ...init });
}

const { hash: unknownHash } = newChunk();

describe("a chunk that is read again and again", () => {
  test("costs its holders two reads, and is there when they have gone", async () => {
    const chunk = newChunk();
    const holder = await relayedHolder(chunk);
    const read = await publish(chunk);
    expect(await bytesIn(await read())).toEqual(chunk.bytes);
    expect(await cached(chunk.hash)).toBe(null);
    expect(await bytesIn(await read())).toEqual(chunk.bytes);
    await vi.waitUntil(() => cached(chunk.hash), PATIENCE);
    holder.close();
    for (const _ of [3, 4]) expect(await bytesIn(await read())).toEqual(chunk.bytes);
    expect(holder.came("request").length).toBe(2);
  });

  test.each([
    ["other bytes", new Uint8Array(5000)],
    ["no bytes", new Uint8Array(0)],
    ["more bytes than a chunk has", new Uint8Array(CHUNK_BYTES_MAX + 1)],
  ])("is never served from a cache that has %s under its hash", async (_, poison) => {
    const chunk = newChunk();
    const holder = await relayedHolder(chunk);
    const read = await publish(chunk);
    await heatUp(chunk, read);
    const kept = new Response(poison, { headers: { "Cache-Control": "public, max-age=1000" } });
    await caches.default.put(cacheKey(chunk.hash), kept);
    expect((await cached(chunk.hash))?.length).toBe(poison.length);
    expect((await getChunk(chunk.hash)).status).toBe(307);
    expect(await bytesIn(await read())).toEqual(chunk.bytes);
    expect(holder.came("request").length).toBe(3);
    // What was read instead takes the place of the poison.
    await vi.waitUntil(async () => (await cached(chunk.hash))?.length === chunk.bytes.length, PATIENCE);
  });

  test("is forgotten behind so many others", () => {
    const { hash } = newChunk();
    expect([noteRead(hash), noteRead(hash)]).toEqual([false, true]);
    const others = Array.from({ length: READS_REMEMBERED_MAX }, (_, i) =>
      hashBytes(new Uint8Array(new TextEncoder().encode(`other ${i}`))),
    );
    for (const other of others.slice(1)) noteRead(other);
    expect(noteRead(hash)).toBe(true);
    for (const other of others) noteRead(other);
    expect(noteRead(hash)).toBe(false);
  });
});

describe("GET /chunk", () => {
  const guarded = {
    "content-type": "application/octet-stream",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "public, max-age=31536000, immutable",
    vary: "Accept",
  };

  test("gives a hot chunk's bytes, unless a referral is asked for", async () => {
    const chunk = newChunk();
    const holder = await relayedHolder(chunk);
    await heatUp(chunk, await publish(chunk));
    const response = await getChunk(chunk.hash);
    expect(Object.fromEntries(response.headers)).toMatchObject({ ...guarded, etag: `"${chunk.hash}"` });
    expect(await bytesIn(response)).toEqual(chunk.bytes);
    const head = await getChunk(chunk.hash, { method: "HEAD" });
    expect(Object.fromEntries(head.headers)).toMatchObject({ ...guarded, "content-length": "5000" });
    expect(await head.text()).toBe("");
    const referral = await getChunk(chunk.hash, { headers: { Accept: REFERRAL_TYPE } });
    expect(await referral.json()).toMatchObject({
      hash: chunk.hash,
      holders: [{ id: holder.id, url: null }],
    });
  });

  test.each(["GET", "HEAD"])(
    "sends %s of a cold chunk through the relay of a holder without a URL",
    async (method) => {
      const chunk = newChunk();
      const holder = await relayedHolder(chunk);
      const response = await getChunk(chunk.hash, { method });
      expect(response.status).toBe(307);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        location: `${EDGE}/via/${holder.id}/chunk/${chunk.hash}`,
        "cache-control": "no-store",
        vary: "Accept",
      });
      const followed = await SELF.fetch(response.headers.get("location") ?? "");
      expect(await bytesIn(followed)).toEqual(chunk.bytes);
    },
  );

  test("sends to a holder's own URL where one has it, whoever else holds the chunk", async () => {
    const chunk = newChunk();
    for (const _ of [1, 2, 3]) await relayedHolder(chunk);
    const { url } = await directHolder(chunk);
    for (const _ of [1, 2, 3]) {
      const response = await getChunk(chunk.hash);
      expect(response.status).toBe(307);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        location: `${url}/chunk/${chunk.hash}`,
        "cache-control": "no-store",
        vary: "Accept",
      });
    }
  });

  test("refers to all holders where Accept asks for it", async () => {
    const chunk = newChunk();
    const relayed = await relayedHolder(chunk);
    const direct = await directHolder(chunk);
    const response = await getChunk(chunk.hash, { headers: { Accept: REFERRAL_TYPE } });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": REFERRAL_TYPE,
      "cache-control": "no-store",
      vary: "Accept",
    });
    const { hash, holders } = await response.json<{
      hash: Hash;
      holders: { id: NodeId; url: string | null }[];
    }>();
    expect(hash).toBe(chunk.hash);
    expect(new Map(holders.map(({ id, url }) => [id, url]))).toEqual(
      new Map([
        [relayed.id, null],
        [direct.id, direct.url],
      ]),
    );
  });

  test.each([{}, { Accept: REFERRAL_TYPE }])(
    "names the closest nodes where nobody holds the chunk (%j)",
    async (headers) => {
      const node = await TestNode.registered();
      const response = await getChunk(unknownHash, { headers });
      expect(response.status).toBe(404);
      expect(response.headers.get("cache-control")).toBe("no-store");
      const { code, closer } = await response.json<{ code: string; closer: { id: NodeId }[] }>();
      expect(code).toBe("not-found");
      expect(closer.map(({ id }) => id)).toContain(node.id);
    },
  );

  test("says that no holder is online where none is", async () => {
    const chunk = newChunk();
    const holder = await relayedHolder(chunk);
    holder.close();
    await vi.waitUntil(async () => (await getChunk(chunk.hash)).status === 503, PATIENCE);
    expect(await (await getChunk(chunk.hash)).json()).toMatchObject({ code: "no-holder" });
  });
});
