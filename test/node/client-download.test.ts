// Downloading from holders that behave badly on purpose, over real sockets: right bytes or a clear code, never
// wrong bytes.

import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { nodeHasher } from "../../cli/node-host.ts";
import type { HolderFailure } from "../../lib/client/chunk-source.ts";
import { DOWNLOAD_WINDOW, type DownloadEvent, download, type Sink } from "../../lib/client/download.ts";
import { ROUTE_BYTES_MAX } from "../../lib/client/holders.ts";
import type { ErrorCode } from "../../lib/error.ts";
import { encodeManifest, encodeManifestPart, parseManifest } from "../../lib/manifest.ts";
import {
  answerChunk,
  chunkAsked,
  closeAll,
  contactAt,
  hashOf,
  makeObject,
  QUICK,
  serve,
  serveChunks,
  serveLocate,
  sourceOf,
  type TestObject,
  type TestServer,
} from "./client-fixture.ts";

const NORMAL_BYTES = 1_000_000;
const CHUNKS_PER_ROUTE = Math.floor(ROUTE_BYTES_MAX / NORMAL_BYTES);

afterEach(closeAll);

/** A sink that keeps what it is given, and fails the test on a gap. */
class MemorySink implements Sink {
  bytes = Buffer.alloc(0);

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    expect(offset).toBe(this.bytes.length);
    this.bytes = Buffer.concat([this.bytes, bytes]);
  }
}

type Misbehaviour = (chunk: Uint8Array, response: ServerResponse, request: IncomingMessage) => void;

function send(response: ServerResponse, bytes: Uint8Array): void {
  response.writeHead(200, { "content-length": bytes.length });
  response.end(bytes);
}

const MISBEHAVIOURS: Record<string, { act: Misbehaviour; code: ErrorCode }> = {
  "flips a bit": {
    act: (chunk, response) => {
      const bytes = Uint8Array.from(chunk);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      send(response, bytes);
    },
    code: "content-hash-mismatch",
  },
  truncates: { act: (chunk, response) => send(response, chunk.subarray(0, -1)), code: "length-mismatch" },
  extends: {
    act: (chunk, response) => send(response, Buffer.concat([chunk, chunk])),
    code: "length-mismatch",
  },
  "extends without declaring a length": {
    act: (chunk, response) => {
      response.writeHead(200);
      response.write(chunk);
      response.end(chunk);
    },
    code: "length-mismatch",
  },
  "swaps in other bytes of the same length": {
    act: (chunk, response) => send(response, new Uint8Array(chunk.length)),
    code: "content-hash-mismatch",
  },
  "sends nothing": { act: (_chunk, response) => send(response, new Uint8Array(0)), code: "length-mismatch" },
  "stalls before its answer": { act: () => undefined, code: "timeout" },
  "stalls midway": {
    act: (chunk, response) => {
      response.writeHead(200, { "content-length": chunk.length });
      response.write(chunk.subarray(0, 100));
    },
    code: "timeout",
  },
  "vanishes midway": {
    act: (chunk, response) => {
      response.writeHead(200, { "content-length": chunk.length });
      response.write(chunk.subarray(0, 100), () => response.destroy());
    },
    code: "unreachable",
  },
  "hangs up": { act: (_chunk, response) => response.destroy(), code: "unreachable" },
  refuses: {
    act: (_chunk, response) => {
      response.writeHead(500, { "content-type": "text/html" });
      response.end("<h1>no</h1>");
    },
    code: "bad-answer",
  },
  "refuses with a problem": {
    act: (_chunk, response) => {
      response.writeHead(404, { "content-type": "application/problem+json" });
      response.end('{"code":"not-found","detail":"gone"}');
    },
    code: "not-found",
  },
  redirects: {
    act: (_chunk, response, request) => {
      response.writeHead(307, { location: `http://127.0.0.1:1${request.url}` });
      response.end();
    },
    code: "not-found",
  },
};

/** A home node that misbehaves for every chunk. */
function serveBadly(object: TestObject, act: Misbehaviour): Promise<TestServer> {
  return serve((request, response) => {
    const chunk = chunkAsked(object.chunks, request);
    if (chunk === null) response.destroy();
    else act(chunk, response, request);
  });
}

async function locating(
  holders: TestServer[],
  fallback?: Parameters<typeof serveLocate>[1],
): Promise<TestServer> {
  const contacts = await Promise.all(holders.map(({ url }, index) => contactAt(url, 10 + index)));
  return serveLocate(contacts, fallback);
}

describe.each(Object.entries(MISBEHAVIOURS))("a holder that %s", (_name, { act, code }) => {
  test("is passed over for one that does not", async () => {
    const object = makeObject(8);
    const bad = await serveBadly(object, act);
    const good = await serveChunks(object.chunks);
    const failures: HolderFailure[] = [];
    const sink = new MemorySink();
    const server = await locating([bad, good]);
    await download(object.manifest, sink, { source: sourceOf([server], failures), hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
    expect(bad.requests.length).toBeGreaterThan(0);
    const [direct, others] = [true, false].map((isDirect) =>
      failures.filter(({ url }) => url.startsWith(`${bad.url}/`) === isDirect),
    );
    expect(new Set(direct?.map(({ error }) => error.code))).toEqual(new Set([code]));
    // Where it cannot be reached, the server's relay to it is tried; where it answers badly, it is not asked again.
    const relay = `${server.url}/via/${(await contactAt(bad.url, 10)).id}/`;
    if (code !== "unreachable" && code !== "timeout") expect(others).toEqual([]);
    expect(others?.filter(({ url }) => !url.startsWith(relay))).toEqual([]);
  });

  test("gets no byte out when there is no other", async () => {
    const object = makeObject(2);
    const sink = new MemorySink();
    const source = sourceOf([await locating([await serveBadly(object, act)])]);
    const downloaded = download(object.manifest, sink, { source, hasher: nodeHasher });
    await expect(downloaded).rejects.toMatchObject({ name: "HoldfastError", code: "no-holder" });
    expect(sink.bytes.length).toBe(0);
  });
});

describe("download", () => {
  test("ranks a holder that failed behind all others for the chunks that follow", async () => {
    const object = makeObject(120, 500);
    const bad = await serveBadly(object, (_chunk, response) => response.destroy());
    const good = await serveChunks(object.chunks);
    const source = sourceOf([await locating([bad, good])]);
    await download(object.manifest, new MemorySink(), { source, hasher: nodeHasher });
    expect(bad.requests.length).toBeLessThanOrEqual(DOWNLOAD_WINDOW);
    expect(good.requests.length).toBe(120);
  });

  test("spreads its reads over all good holders", async () => {
    const object = makeObject(60, 500);
    const holders = await Promise.all([1, 2, 3].map(() => serveChunks(object.chunks)));
    const source = sourceOf([await locating(holders)]);
    await download(object.manifest, new MemorySink(), { source, hasher: nodeHasher });
    for (const { requests } of holders) expect(requests.length).toBeGreaterThan(5);
  });

  test.each([1, 2, 3, 4, 5])("delivers all bytes with 8 of 10 holders bad (seed %i)", async (seed) => {
    const object = makeObject(40, 700, `seed ${seed}`);
    const acts = Object.values(MISBEHAVIOURS).filter(({ code }) => code !== "timeout");
    const bad = Array.from({ length: 8 }, (_, i) => acts[(i + seed) % acts.length]?.act ?? (() => undefined));
    const holders = await Promise.all(bad.map((act) => serveBadly(object, act)));
    holders.splice(seed, 0, await serveChunks(object.chunks), await serveChunks(object.chunks));
    const sink = new MemorySink();
    const source = sourceOf([await locating(holders)]);
    await download(object.manifest, sink, { source, hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
  });

  test("has several chunks of one holder in flight at once, and no more than its share", async () => {
    const object = makeObject(12, NORMAL_BYTES);
    const waiting: (() => void)[] = [];
    let most = 0;
    const holder = await serve((request, response) => {
      waiting.push(() => answerChunk(object.chunks, request, response));
      most = Math.max(most, waiting.length);
      // Answers in threes, a while after the third: a client that asks for fewer at a time gets none, and one that asks for
      // more has the time to.
      if (waiting.length === CHUNKS_PER_ROUTE)
        setTimeout(() => {
          for (const answer of waiting.splice(0)) answer();
        }, 20);
    });
    const sink = new MemorySink();
    const source = sourceOf([await locating([holder])]);
    await download(object.manifest, sink, { source, hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
    expect(most).toBe(CHUNKS_PER_ROUTE);
  });

  test("has as many small chunks of one holder in flight as its window takes", async () => {
    const object = makeObject(DOWNLOAD_WINDOW, 500);
    const waiting: (() => void)[] = [];
    const holder = await serve((request, response) => {
      waiting.push(() => answerChunk(object.chunks, request, response));
      if (waiting.length === DOWNLOAD_WINDOW) for (const answer of waiting.splice(0)) answer();
    });
    const sink = new MemorySink();
    const source = sourceOf([await locating([holder])]);
    await download(object.manifest, sink, { source, hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
  });

  test("waits for a busy good holder rather than asking one that has failed", async () => {
    const object = makeObject(12, NORMAL_BYTES);
    const good = await serveChunks(object.chunks);
    const bad = await serve((_request, response) => send(response, new Uint8Array(0)));
    const sink = new MemorySink();
    const source = sourceOf([await locating([good, bad])]);
    await download(object.manifest, sink, { source, hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
    expect(bad.requests.length).toBeLessThanOrEqual(CHUNKS_PER_ROUTE);
  });

  test("reads no further ahead of its sink than the window", async () => {
    const object = makeObject(60, 500);
    const holder = await serveChunks(object.chunks);
    let written = 0;
    const sink: Sink = {
      write: async () => {
        written += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
        expect(holder.requests.length).toBeLessThanOrEqual(written + DOWNLOAD_WINDOW);
      },
    };
    await download(object.manifest, sink, {
      source: sourceOf([await locating([holder])]),
      hasher: nodeHasher,
    });
    expect(written).toBe(60);
  });

  test("ends with the sink's own error, and asks for nothing more", async () => {
    const object = makeObject(60, 500);
    const holder = await serveChunks(object.chunks);
    const sink: Sink = { write: () => Promise.reject(new Error("disk full")) };
    const source = sourceOf([await locating([holder])]);
    await expect(download(object.manifest, sink, { source, hasher: nodeHasher })).rejects.toThrow(
      "disk full",
    );
    expect(holder.requests.length).toBeLessThanOrEqual(DOWNLOAD_WINDOW);
  });

  test("fetches only what an earlier attempt did not leave behind intact", async () => {
    const object = makeObject(10, 1000);
    const holder = await serveChunks(object.chunks);
    const kept = Buffer.from(object.bytes.subarray(0, 5500));
    kept[2500] = (kept[2500] ?? 0) ^ 1;
    const written: number[] = [];
    const sink: Sink = {
      read: async (offset, length) =>
        offset + length > kept.length ? null : kept.subarray(offset, offset + length),
      write: async (_bytes, offset) => void written.push(offset),
    };
    const events: DownloadEvent[] = [];
    const source = sourceOf([await locating([holder])]);
    await download(object.manifest, sink, {
      source,
      hasher: nodeHasher,
      onEvent: (event) => events.push(event),
    });
    expect(written).toEqual([2000, 5000, 6000, 7000, 8000, 9000]);
    expect(holder.requests.length).toBe(6);
    expect(events.map(({ origin }) => origin).filter((origin) => origin === "kept").length).toBe(4);
  });

  test("refuses an object whose chunks are right and whose whole is not", async () => {
    const object = makeObject(3);
    const manifest = { ...object.manifest, digest: hashOf(Buffer.from("something else")) };
    const source = sourceOf([await locating([await serveChunks(object.chunks)])]);
    const downloaded = download(manifest, new MemorySink(), { source, hasher: nodeHasher });
    await expect(downloaded).rejects.toMatchObject({ code: "digest-mismatch" });
  });

  test("delivers an empty object without asking anybody", async () => {
    const object = makeObject(0);
    const server = await locating([]);
    const sink = new MemorySink();
    await download(object.manifest, sink, { source: sourceOf([server]), hasher: nodeHasher });
    expect(sink.bytes.length).toBe(0);
    expect(server.requests).toEqual([]);
  });

  test("reads an object whose Manifest lists parts, and one chunk that occurs twice", async () => {
    const object = makeObject(6, 900);
    const refs = "chunks" in object.manifest ? object.manifest.chunks : [];
    const lists = [refs.slice(0, 4), [...refs.slice(4), ...refs.slice(0, 1)]];
    const bytes = Buffer.concat([object.bytes, object.bytes.subarray(0, 900)]);
    const parts = lists.map((chunks) => encodeManifestPart({ chunks }));
    const manifest = parseManifest(
      encodeManifest(
        { ...headOf(object), size: bytes.length, digest: hashOf(bytes) },
        { parts: parts.map((part, i) => ({ hash: hashOf(part), size: i === 0 ? 3600 : 2700 })) },
      ),
    );
    const chunks = new Map([
      ...object.chunks,
      ...parts.map((part) => [hashOf(part), Buffer.from(part)] as const),
    ]);
    const sink = new MemorySink();
    const source = sourceOf([await locating([await serveChunks(chunks)])]);
    await download(manifest, sink, { source, hasher: nodeHasher });
    expect(sink.bytes.equals(bytes)).toBe(true);
  });
});

describe("finding holders", () => {
  test("asks the server itself when no holder is left, and follows one redirect", async () => {
    const object = makeObject(3);
    const holder = await serveChunks(object.chunks);
    const server = await locating([], (request, response) => {
      response.writeHead(307, { location: `${holder.url}${request.url}` });
      response.end();
    });
    const sink = new MemorySink();
    await download(object.manifest, sink, { source: sourceOf([server]), hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
  });

  test("does not follow a second redirect", async () => {
    const object = makeObject(1);
    const holder = await serveChunks(object.chunks);
    const redirectTo = (url: string) => (request: IncomingMessage, response: ServerResponse) => {
      response.writeHead(307, { location: `${url}${request.url}` });
      response.end();
    };
    const second = await serve(redirectTo(holder.url));
    const source = sourceOf([await locating([], redirectTo(second.url))]);
    await expect(
      download(object.manifest, new MemorySink(), { source, hasher: nodeHasher }),
    ).rejects.toMatchObject({
      code: "no-holder",
    });
    expect(second.requests.length).toBe(1);
    expect(holder.requests).toEqual([]);
  });

  test("asks a holder that does not serve at this hour last, after one that failed, and asks it all the same", async () => {
    const object = makeObject(4);
    const awake = await serveChunks(object.chunks);
    const resting = await serveChunks(object.chunks);
    const contacts = [await contactAt(resting.url, 30), await contactAt(awake.url, 31)];
    const said = { resting: contacts.slice(0, 1).map(({ id }) => id) };
    const read = async (server: TestServer) => {
      const sink = new MemorySink();
      await download(object.manifest, sink, { source: sourceOf([server]), hasher: nodeHasher });
      expect(sink.bytes.equals(object.bytes)).toBe(true);
    };
    await read(await serveLocate(contacts, undefined, said));
    expect([resting.requests.length, awake.requests.length]).toEqual([0, 4]);
    // The control: nobody said that it rests.
    await read(await serveLocate(contacts));
    expect(resting.requests.length).toBeGreaterThan(0);
    await awake.close();
    const before = resting.requests.length;
    await read(await serveLocate(contacts, undefined, said));
    expect(resting.requests.length - before).toBe(4);
  });

  test("reaches a holder without a URL through the server's tunnel to it", async () => {
    const object = makeObject(3);
    const contact = await contactAt(null, 30);
    const server = await serveLocate([contact], (request, response) => {
      expect(request.url).toMatch(new RegExp(`^/via/${contact.id}/chunk/`));
      answerChunk(object.chunks, request, response);
    });
    const sink = new MemorySink();
    await download(object.manifest, sink, { source: sourceOf([server]), hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
  });

  test("reaches a holder that is not at its own URL through the relay, and asks there no more", async () => {
    const object = makeObject(60, 500);
    const gone = await serve(() => undefined);
    await gone.close();
    const contact = await contactAt(gone.url, 30);
    const failures: HolderFailure[] = [];
    const server = await serveLocate([contact], (request, response) => {
      expect(request.url).toMatch(new RegExp(`^/via/${contact.id}/chunk/`));
      answerChunk(object.chunks, request, response);
    });
    const sink = new MemorySink();
    await download(object.manifest, sink, { source: sourceOf([server], failures), hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.length).toBeLessThanOrEqual(DOWNLOAD_WINDOW);
    expect(new Set(failures.map(({ url }) => new URL(url).origin))).toEqual(new Set([gone.url]));
  });

  test("spares the relay where a holder can be reached at its own URL", async () => {
    const object = makeObject(3);
    const holder = await serveChunks(object.chunks);
    const contacts = [await contactAt(null, 30), await contactAt(holder.url, 31)];
    const server = await serveLocate(contacts, (request, response) =>
      answerChunk(object.chunks, request, response),
    );
    const source = sourceOf([server]);
    for (const { hash, size } of "chunks" in object.manifest ? object.manifest.chunks : []) {
      await source.get({ hash, sizeBytes: size });
    }
    expect(holder.requests.length).toBe(3);
    expect(server.requests.filter((request) => request.includes("/via/"))).toEqual([]);
  });

  test("gives a relay, which sends nothing before it has all, longer than a holder", async () => {
    const object = makeObject(1);
    const failures: HolderFailure[] = [];
    const server = await serveLocate([await contactAt(null, 30)], async (request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 2 * QUICK.idleMs));
      answerChunk(object.chunks, request, response);
    });
    const sink = new MemorySink();
    await download(object.manifest, sink, { source: sourceOf([server], failures), hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
    expect(failures).toEqual([]);
  });

  test("does not wait for a server that is silent while another answers", async () => {
    const object = makeObject(3);
    const silent = await serve(() => undefined);
    const server = await locating([await serveChunks(object.chunks)]);
    const sink = new MemorySink();
    const startMs = performance.now();
    await download(object.manifest, sink, { source: sourceOf([silent, server]), hasher: nodeHasher });
    expect(sink.bytes.equals(object.bytes)).toBe(true);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  test("asks for a large object's holders in batches", async () => {
    const object = makeObject(600, 64);
    const server = await locating([await serveChunks(object.chunks)]);
    await download(object.manifest, new MemorySink(), { source: sourceOf([server]), hasher: nodeHasher });
    expect(server.requests).toEqual(Array(3).fill("POST /chunk/locate"));
  });
});

function headOf({ manifest }: TestObject) {
  const { size, digest, contentType, metadata, redundancy } = manifest;
  return { size, digest, contentType, metadata, redundancy };
}
