// From bytes to windows of chunks: what a store is handed, and how long it may look at it.

import { describe, expect, test } from "vitest";
import { nodeHasher } from "../../cli/node-host.ts";
import { ingest, type StoreChunks, WINDOW_BYTES_MAX } from "../../lib/client/ingest.ts";
import type { UploadChunk } from "../../lib/client/uploader.ts";
import type { Hash, Hasher } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX, parseManifest } from "../../lib/manifest.ts";
import { hashOf } from "./client-fixture.ts";

const MiB = 1024 * 1024;
const HEAD = { contentType: "text/plain", metadata: {}, redundancy: { replicas: 1 } };

/** Zeros with a number in each 64 KiB, so that chunks differ and are cut at the largest size. */
function makeData(size: number): Uint8Array {
  const data = new Uint8Array(size);
  const view = new DataView(data.buffer);
  for (let i = 0; i + 4 <= size; i += 65_536) view.setUint32(i, i + 1);
  return data;
}

async function* blocksOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < data.length; i += MiB) yield data.subarray(i, i + MiB);
}

/** A store that keeps copies, and looks at each chunk again after the next window was read. */
function slowStore(stored: Map<Hash, Uint8Array>, onWindow: (chunks: readonly UploadChunk[]) => void) {
  const store: StoreChunks = async (chunks) => {
    onWindow(chunks);
    for (let i = 0; i < 40; i++) await new Promise((resolve) => setTimeout(resolve, 0));
    for (const { hash, bytes } of chunks) stored.set(hash, Uint8Array.from(bytes));
  };
  return store;
}

describe("ingest", () => {
  test("leaves the bytes of a window alone until it is stored, and uses their memory again", async () => {
    const data = makeData(5 * WINDOW_BYTES_MAX + 12_345);
    const stored = new Map<Hash, Uint8Array>();
    const buffers = new Set<ArrayBuffer>();
    const store = slowStore(stored, (chunks) => {
      for (const { bytes } of chunks) if (bytes.length > 2 * MiB - 1) buffers.add(bytes.buffer);
    });
    const { manifestBytes } = await ingest(blocksOf(data), HEAD, { hasher: nodeHasher, store });
    const manifest = parseManifest(manifestBytes);
    const refs = "chunks" in manifest ? manifest.chunks : [];
    const kept = refs.map(({ hash }) => stored.get(hash) ?? new Uint8Array(0));
    expect(kept.map(hashOf)).toEqual(refs.map(({ hash }) => hash));
    expect(manifest).toMatchObject({ size: data.length, digest: hashOf(data) });
    const inTwoWindows = (2 * WINDOW_BYTES_MAX) / CHUNK_BYTES_MAX;
    expect(buffers.size).toBeLessThanOrEqual(inTwoWindows + 4);
  });

  test("stores a chunk that occurs many times in a window once, and lists it each time", async () => {
    const windows: number[] = [];
    const store: StoreChunks = async (chunks) => void windows.push(chunks.length);
    const { manifestBytes } = await ingest(blocksOf(new Uint8Array(20 * MiB)), HEAD, {
      hasher: nodeHasher,
      store,
    });
    const manifest = parseManifest(manifestBytes);
    expect("chunks" in manifest && manifest.chunks.length).toBe(10);
    expect(windows).toEqual([1, 1]); // the chunk, the Manifest
  });

  test("ends with the store's failure, and reads no further than the window after it", async () => {
    let read = 0;
    async function* blocks(): AsyncGenerator<Uint8Array> {
      for await (const block of blocksOf(makeData(6 * WINDOW_BYTES_MAX))) {
        read += block.length;
        yield block;
      }
    }
    const store: StoreChunks = () => Promise.reject(new Error("no room"));
    await expect(ingest(blocks(), HEAD, { hasher: nodeHasher, store })).rejects.toThrow("no room");
    expect(read).toBeLessThanOrEqual(2 * WINDOW_BYTES_MAX + 3 * CHUNK_BYTES_MAX);
  });

  test("ends with the hasher's failure, of whichever chunk", async () => {
    let asked = 0;
    const failing: Hasher = {
      ...nodeHasher,
      digest: async (bytes) => {
        asked += 1;
        if (asked === 3) throw new Error("no thread");
        return nodeHasher.digest(bytes);
      },
    };
    const store: StoreChunks = async () => undefined;
    await expect(ingest(blocksOf(makeData(12 * MiB)), HEAD, { hasher: failing, store })).rejects.toThrow(
      "no thread",
    );
  });
});
