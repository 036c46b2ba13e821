import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BATCH_CHUNKS_MAX, BATCH_TYPE, encodeChunkBatch, parseChunkBatch } from "../../lib/chunk-batch.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { verifyReceipt } from "../../lib/upload.ts";
import { parseSigned, parseSignedJson } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  createSigner,
  problemIn,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  uploadHeaders,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let target: TestNode;

beforeEach(async () => {
  target = await startTestNode(cleanup, await TestDns.start(cleanup));
});
afterEach(() => cleanup.run());

type Chunk = ReturnType<typeof chunkOf>;

async function putBatch(
  chunks: Chunk[],
  options: {
    named?: Chunk[];
    body?: Uint8Array<ArrayBuffer>;
    publisher?: Awaited<ReturnType<typeof createPublisher>>;
  } = {},
): Promise<Response> {
  const publisher = options.publisher ?? (await createPublisher(target));
  const named = (options.named ?? chunks).map(({ hash }) => hash);
  const headers = { ...(await uploadHeaders(target, publisher, named)), "Content-Type": BATCH_TYPE };
  const body = options.body ?? encodeChunkBatch(chunks.map(({ bytes }) => bytes));
  return fetch(`${target.url}/chunk`, { method: "PUT", headers, body });
}

async function isHeld({ hash, bytes }: Chunk): Promise<boolean> {
  const response = await fetch(`${target.url}/chunk/${hash}`);
  return response.status === 200 && Buffer.from(await response.arrayBuffer()).equals(bytes);
}

describe("a batch of chunks", () => {
  it("is kept, each chunk under its own hash, for one receipt that names all of them", async () => {
    const chunks = [0, 1, 100, 16_384, 200_000].map(chunkOf);
    const response = await putBatch(chunks);
    expect(response.status).toBe(201);
    const receipt = await verifyReceipt(
      parseSigned(parseSignedJson(await response.json())),
      target.clock.now(),
    );
    expect(receipt.body).toMatchObject({
      node: target.id,
      chunks: chunks.map(({ hash, bytes }) => ({ hash, size: bytes.length })),
    });
    expect(await Promise.all(chunks.map(isHeld))).toEqual(chunks.map(() => true));
    expect((await putBatch(chunks)).status).toBe(200);
  });

  it("is there after a restart", async () => {
    const chunks = [10, 20].map(chunkOf);
    await putBatch(chunks);
    const { dir, dns, node } = target;
    await node.stop();
    target = await startTestNode(cleanup, dns, { dir });
    expect(await Promise.all(chunks.map(isHeld))).toEqual([true, true]);
  });

  it("may be a part of what the upload statement names, and one that it does not name refuses all", async () => {
    const [first, second, stranger] = [10, 20, 30].map(chunkOf);
    if (first === undefined || second === undefined || stranger === undefined)
      throw new Error("three chunks");
    expect((await putBatch([first], { named: [first, second] })).status).toBe(201);
    expect(await problemIn(await putBatch([second, stranger], { named: [second] }))).toBe(
      "403 grant-mismatch",
    );
    expect(await isHeld(second)).toBe(false);
  });

  it("costs the grant its new bytes only, and no more than it allows", async () => {
    const publisher = await createPublisher(target, { bytes: 100 });
    const small = chunkOf(60);
    expect((await putBatch([small], { publisher })).status).toBe(201);
    expect((await putBatch([small, chunkOf(40)], { publisher })).status).toBe(201);
    expect(await problemIn(await putBatch([chunkOf(1)], { publisher }))).toBe("403 grant-exceeded");
  });

  it("counts what is held as a single upload does", async () => {
    const chunk = chunkOf(50);
    const publisher = await createPublisher(target);
    await putBatch([chunk], { publisher });
    expect((await putChunk(target, publisher, chunk)).status).toBe(200);
    expect(await target.node.status()).toMatchObject({
      chunks: 1,
      accepted: { domains: [{ chunks: 1, bytes: 50 }] },
    });
  });

  it.each([
    ["nothing", new Uint8Array(0), "400 invalid-request"],
    ["half a length", new Uint8Array(3), "400 invalid-request"],
    ["a length without its bytes", Uint8Array.of(0, 0, 0, 9, 1), "400 invalid-request"],
    ["a length beyond all bytes", Uint8Array.of(255, 255, 255, 255, 1), "400 invalid-request"],
    ["too many chunks", new Uint8Array(4 * (BATCH_CHUNKS_MAX + 1)), "400 invalid-request"],
    ["too many bytes", new Uint8Array(CHUNK_BYTES_MAX + 4 * BATCH_CHUNKS_MAX + 1), "413 body-too-large"],
  ])("of %s is refused", async (_, body, problem) => {
    expect(await problemIn(await putBatch([], { named: [chunkOf(1)], body }))).toBe(problem);
  });

  it("without a grant, or under a stranger's, is refused", async () => {
    const plain = await fetch(`${target.url}/chunk`, {
      method: "PUT",
      body: encodeChunkBatch([new Uint8Array(1)]),
    });
    expect(await problemIn(plain)).toBe("401 grant-missing");
    const publisher = await createPublisher(target, {}, await createSigner());
    expect(await problemIn(await putBatch([chunkOf(1)], { publisher }))).toBe("403 key-not-authorized");
  });

  it("is read back as it was written", () => {
    const chunks = [0, 5, 70_000].map((size) => chunkOf(size).bytes);
    expect(parseChunkBatch(encodeChunkBatch(chunks))).toEqual(chunks);
    expect(() => encodeChunkBatch([new Uint8Array(CHUNK_BYTES_MAX), new Uint8Array(1)])).toThrow(RangeError);
    expect(() => encodeChunkBatch(Array(BATCH_CHUNKS_MAX + 1).fill(new Uint8Array(1)))).toThrow(RangeError);
  });

  it("is asked for with PUT only", async () => {
    const response = await fetch(`${target.url}/chunk`);
    expect(await problemIn(response)).toBe("405 method-not-allowed");
    expect(response.headers.get("allow")).toBe("PUT");
  });
});
