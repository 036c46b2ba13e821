// Objects in stripes at the client: what a publish makes of a stream of bytes, and reads with losses over real sockets.

import { afterEach, describe, expect, test } from "vitest";
import { nodeHasher } from "../../cli/node-host.ts";
import { download } from "../../lib/client/download.ts";
import { ingest, type StoreChunks, WINDOW_BYTES_MIN } from "../../lib/client/ingest.ts";
import { ManifestBuilder } from "../../lib/client/manifest-builder.ts";
import type { UploadChunk } from "../../lib/client/uploader.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import {
  CHUNK_BYTES_MAX,
  type ChunkList,
  checkStriping,
  encodeManifest,
  LISTED_PER_MANIFEST_MAX,
  MANIFEST_BYTES_MAX,
  type Manifest,
  parseManifest,
  parseManifestPart,
  type StripedList,
  type Striping,
} from "../../lib/manifest.ts";
import { recoverChunk } from "../../lib/redundancy/recovery.ts";
import { ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import { membersOf, stripesOf } from "../../lib/redundancy/stripes.ts";
import type { LocateAnswer } from "../../lib/wire/chunks.ts";
import { SeededRandom } from "../random.ts";
import {
  answerJson,
  closeAll,
  contactAt,
  hashOf,
  notFound,
  readRequest,
  serve,
  serveChunks,
  sourceOf,
  type TestServer,
} from "./client-fixture.ts";

const MiB = 1024 * 1024;
type Bytes = Uint8Array<ArrayBuffer>;

afterEach(closeAll);

async function* blocksOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < data.length; i += MiB) yield data.subarray(i, i + MiB);
}

/** Keeps copies of all that was stored, and of each window what it had. */
class KeepingStore {
  readonly chunks = new Map<Hash, Bytes>();
  readonly windows: UploadChunk[][] = [];
  readonly store: StoreChunks = async (chunks) => {
    this.windows.push([...chunks]);
    for (const { hash, bytes } of chunks) this.chunks.set(hash, bytes.slice());
  };
}

async function ingested(data: Uint8Array, redundancy: Striping, chunksPerManifest?: number) {
  const kept = new KeepingStore();
  const head = { contentType: "text/plain", metadata: {}, redundancy };
  const options = { hasher: nodeHasher, store: kept.store, chunksPerManifest };
  const { manifestBytes } = await ingest(blocksOf(data), head, options);
  return { kept, manifest: parseManifest(manifestBytes) };
}

function listsOf(manifest: Manifest, kept: KeepingStore): ChunkList[] {
  if ("chunks" in manifest) return [manifest];
  return manifest.parts.map(({ hash }) => parseManifestPart(kept.chunks.get(hash) ?? new Uint8Array()));
}

/** Every chunk of every stripe, made anew with `parity` of the stripe lost, itself among them. */
async function checkRecovery(list: ChunkList, redundancy: Striping, kept: KeepingStore): Promise<number> {
  const striped: StripedList = { chunks: list.chunks, parity: list.parity ?? [], redundancy };
  let recovered = 0;
  for (const stripe of stripesOf(striped)) {
    const members = membersOf(stripe);
    for (const [i, { hash }] of members.entries()) {
      const lost = new Set(
        Array.from({ length: redundancy.parity }, (_, n) => members[(i + n) % members.length]?.hash),
      );
      const load = async (chunk: { hash: Hash }) =>
        lost.has(chunk.hash) ? null : (kept.chunks.get(chunk.hash) ?? null);
      if (stripe.data.length === 1) continue;
      expect(hashOf(await recoverChunk(striped, hash, load))).toBe(hash);
      recovered++;
    }
  }
  return recovered;
}

describe("a publish in stripes", () => {
  const redundancy = { data: 4, parity: 3 };

  test("lists and stores parity by which any of a stripe's chunks comes back", async () => {
    const { kept, manifest } = await ingested(new SeededRandom("stripes").bytes(14 * MiB), redundancy);
    const [list] = listsOf(manifest, kept);
    if (list === undefined) throw new RangeError("there is a list");
    expect(await checkRecovery(list, redundancy, kept)).toBeGreaterThan(14);
    const placed = kept.windows.flat().filter(({ stripe }) => stripe !== undefined);
    expect(placed.length).toBe(list.chunks.length + (list.parity?.length ?? 0));
  });

  test("tells with each chunk whose neighbour it is, so that they are kept apart", async () => {
    const { kept, manifest } = await ingested(new SeededRandom("apart").bytes(9 * MiB), redundancy);
    const [{ chunks, parity = [] } = { chunks: [] }] = listsOf(manifest, kept);
    const stripes = stripesOf({ chunks, parity, redundancy }).map((stripe) =>
      membersOf(stripe).map(({ hash }) => hash),
    );
    const told = new Map(kept.windows.flat().map(({ hash, stripe }) => [hash, stripe]));
    for (const stripe of stripes) for (const hash of stripe) expect(told.get(hash)).toEqual(stripe);
  });

  test("makes the stripes of each part by themselves", async () => {
    const { kept, manifest } = await ingested(new SeededRandom("parts").bytes(16 * MiB), redundancy, 6);
    const lists = listsOf(manifest, kept);
    expect(lists.length).toBeGreaterThan(1);
    for (const list of lists) expect(await checkRecovery(list, redundancy, kept)).toBeGreaterThan(0);
    // Parts are no chunks of stripes: the uploader makes whole copies of them.
    const parts = "parts" in manifest ? manifest.parts.map(({ hash }) => hash) : [];
    for (const { hash, stripe } of kept.windows.flat())
      if (parts.includes(hash)) expect(stripe).toBeUndefined();
  });

  test("begins a part before chunks and parity are too many for one list", () => {
    const striping = { data: 1, parity: 16 };
    const builder = new ManifestBuilder(striping);
    const add = (i: number) => {
      const ref = { hash: hashOf(Buffer.from(`chunk ${i}`)), size: CHUNK_BYTES_MAX };
      builder.addChunk(ref);
      for (let n = 0; n < striping.parity; n++) builder.addParity(ref);
    };
    let count = 0;
    for (; !builder.isFull; count++) add(count);
    expect(count).toBe(Math.floor(LISTED_PER_MANIFEST_MAX / 17));
    const { bytes } = builder.takePart();
    expect(bytes.length).toBeLessThan(MANIFEST_BYTES_MAX);
    for (let i = 0; i <= count; i++) add(i);
    expect(() => checkStriping(parseManifestPart(builder.takePart().bytes), striping)).toThrow(
      "too many for one list",
    );
  });

  test("takes a chunk that comes again as the one that it is", async () => {
    const { kept, manifest } = await ingested(new Uint8Array(20 * MiB), redundancy);
    const [{ chunks, parity = [] } = { chunks: [] }] = listsOf(manifest, kept);
    expect(chunks.length).toBe(10);
    // One distinct chunk: its parity is itself.
    expect(parity).toEqual(Array.from({ length: 3 }, () => chunks[0]));
    const [zeros] = kept.windows.flat();
    expect(zeros?.stripe).toEqual(Array.from({ length: 4 }, () => chunks[0]?.hash));
  });

  test("lists a small object's one chunk as its own parity, and an empty one's as none", async () => {
    const small = await ingested(new Uint8Array([1, 2, 3]), redundancy);
    expect(small.manifest).toMatchObject({ size: 3, redundancy });
    const [{ chunks, parity = [] } = { chunks: [] }] = listsOf(small.manifest, small.kept);
    expect(parity).toEqual([chunks[0], chunks[0], chunks[0]]);
    const empty = await ingested(new Uint8Array(0), redundancy);
    expect(empty.manifest).toMatchObject({ chunks: [], parity: [] });
  });

  test("holds no more at once with parity than without", async () => {
    const { kept } = await ingested(new SeededRandom("memory").bytes(40 * MiB), { data: 10, parity: 6 });
    for (const window of kept.windows) {
      const bytes = window.reduce((sum, { size }) => sum + size, 0);
      expect(bytes).toBeLessThanOrEqual(WINDOW_BYTES_MIN);
    }
    const buffers = new Set(kept.windows.flat().map(({ bytes }) => bytes.buffer));
    const held = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(held).toBeLessThanOrEqual(4 * WINDOW_BYTES_MIN + 8 * CHUNK_BYTES_MAX);
  });
});

describe("a read in stripes of 4+2", () => {
  const redundancy = { data: 4, parity: 2 };
  const CHUNK = 3000;

  /** An object of ten chunks, whose holders keep one position each; an edge that tells who holds what. */
  async function startNetwork() {
    const bytes = new SeededRandom("read").bytes(10 * CHUNK);
    const keeping = Array.from({ length: 6 }, () => new Map<Hash, Bytes>());
    const list: StripedList = { chunks: [], parity: [], redundancy };
    const encoder = new ParityEncoder(redundancy.parity, CHUNK);
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const chunk = new Uint8Array(bytes.subarray(at, at + CHUNK));
      const hash = hashBytes(chunk);
      keeping[encoder.added]?.set(hash, chunk);
      encoder.add(chunk);
      list.chunks.push({ hash, size: chunk.length });
      if (encoder.added < redundancy.data && at + CHUNK < bytes.length) continue;
      const first = encoder.added;
      for (const [i, parity] of encoder.finish().entries()) {
        keeping[first + i]?.set(hashBytes(parity), parity);
        list.parity.push({ hash: hashBytes(parity), size: parity.length });
      }
    }
    const holders = await Promise.all(keeping.map((chunks) => serveChunks(chunks)));
    const edge = await serveIndex(holders, keeping);
    const head = { contentType: "a/b", metadata: {}, redundancy, size: bytes.length, digest: hashOf(bytes) };
    const manifest = parseManifest(encodeManifest(head, { chunks: list.chunks, parity: list.parity }));
    return { bytes, keeping, holders, edge, manifest };
  }

  async function serveIndex(holders: TestServer[], keeping: Map<Hash, Bytes>[]): Promise<TestServer> {
    const nodes = await Promise.all(holders.map(({ url }, i) => contactAt(url, i + 1)));
    return serve(async (request, response) => {
      if (request.url !== "/chunk/locate") return notFound(request, response);
      const { chunks } = JSON.parse((await readRequest(request)).toString());
      const answer: LocateAnswer = {
        chunks: chunks.map((hash: Hash) => ({
          hash,
          holders: nodes.flatMap(({ id }, i) => (keeping[i]?.has(hash) ? [id] : [])),
        })),
        nodes,
      };
      answerJson(response, answer);
    });
  }

  async function read(manifest: Manifest, edge: TestServer): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const write = async (bytes: Uint8Array) => void pieces.push(Buffer.from(bytes));
    await download(manifest, { write }, { source: sourceOf([edge]), hasher: nodeHasher });
    return Buffer.concat(pieces);
  }

  const asked = (holders: readonly TestServer[]) =>
    holders.reduce((sum, { requests }) => sum + requests.length, 0);

  test("asks for the data and for nothing else where all are there", async () => {
    const { bytes, holders, edge, manifest } = await startNetwork();
    expect((await read(manifest, edge)).equals(bytes)).toBe(true);
    expect(asked(holders)).toBe(10);
  });

  test.each([[[0]], [[0, 1]], [[3, 5]], [[4, 5]]])("is whole with the holders %j gone", async (gone) => {
    const { bytes, holders, edge, manifest } = await startNetwork();
    for (const i of gone) await holders[i]?.close();
    expect((await read(manifest, edge)).equals(bytes)).toBe(true);
  });

  test("loads a stripe once for all of its losses", async () => {
    const { bytes, keeping, holders, edge, manifest } = await startNetwork();
    for (const chunks of keeping.slice(0, 2)) chunks.clear();
    expect((await read(manifest, edge)).equals(bytes)).toBe(true);
    // Of ten chunks the reader misses six; each of the three stripes is loaded once, and never twice.
    expect(asked(holders)).toBeLessThanOrEqual(10 + 4 + 4 + 2);
  });

  test("is right where two holders give other bytes, or too few of them", async () => {
    const { bytes, keeping, edge, manifest } = await startNetwork();
    for (const [hash, chunk] of keeping[1] ?? [])
      keeping[1]?.set(
        hash,
        chunk.map((byte) => byte ^ 255),
      );
    for (const [hash, chunk] of keeping[4] ?? []) keeping[4]?.set(hash, chunk.subarray(1));
    expect((await read(manifest, edge)).equals(bytes)).toBe(true);
  });

  test("ends with no-holder where three of a stripe are gone", async () => {
    const { holders, edge, manifest } = await startNetwork();
    for (const holder of holders.slice(1, 4)) await holder.close();
    await expect(read(manifest, edge)).rejects.toMatchObject({
      code: "no-holder",
      message: expect.stringContaining("of the 4 others of its stripe"),
    });
  });

  test("without parity the same losses end the read", async () => {
    const { bytes, keeping, edge } = await startNetwork();
    const chunks = Array.from({ length: 10 }, (_, i) => {
      const chunk = bytes.subarray(i * CHUNK, (i + 1) * CHUNK);
      return { hash: hashOf(chunk), size: CHUNK };
    });
    const head = { contentType: "a/b", metadata: {}, size: bytes.length, digest: hashOf(bytes) };
    const manifest = parseManifest(encodeManifest({ ...head, redundancy: { replicas: 1 } }, { chunks }));
    expect((await read(manifest, edge)).equals(bytes)).toBe(true);
    keeping[0]?.clear();
    await expect(read(manifest, edge)).rejects.toMatchObject({ code: "no-holder" });
  });
});
