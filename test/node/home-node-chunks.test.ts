// GET, HEAD and PUT /chunk of a running home node: what it serves, under which grants it stores, and what it refuses.

import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf } from "../../home-node/store/digest.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { signStatement } from "../../lib/statement.ts";
import { CHUNKS_PER_UPLOAD_MAX, grantKind, verifyReceipt } from "../../lib/upload.ts";
import { formatSignedHeader, parseSigned, parseSignedJson } from "../../lib/wire/signed.ts";
import {
  AUTHOR,
  Cleanup,
  carriedBytes,
  chunkOf,
  createPublisher,
  createSigner,
  DOMAIN,
  isoTime,
  keyRecord,
  OTHER_DOMAIN,
  type Publisher,
  problemIn,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  uploadHeaders,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let node: TestNode;
let publisher: Publisher;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  node = await startTestNode(cleanup, dns);
  publisher = await createPublisher(node);
});
afterEach(() => cleanup.run());

async function filesOf(target: TestNode): Promise<string[]> {
  const folders = await Promise.all(
    ["chunks", "tmp"].map((name) =>
      readdir(join(target.dir, name), { recursive: true, withFileTypes: true }),
    ),
  );
  return folders.flat().flatMap((entry) => (entry.isFile() ? [entry.name] : []));
}

function chunkPath(target: TestNode, hash: string): string {
  return join(target.dir, "chunks", hash.slice(0, 2), hash);
}

/** What the status says when so many bytes were newly stored, in one chunk. */
function acceptedBytes(bytes: number) {
  return { accepted: { domains: [{ domain: DOMAIN, chunks: 1, bytes }] } };
}

async function put(
  headers: Record<string, string>,
  hash: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<string> {
  return problemIn(await fetch(`${node.url}/chunk/${hash}`, { method: "PUT", headers, body }));
}

describe("PUT /chunk", () => {
  it("stores a chunk under a grant and answers a receipt that verifies", async () => {
    const chunk = chunkOf(300_000);
    const response = await putChunk(node, publisher, chunk);
    expect(response.status).toBe(201);
    const receipt = await verifyReceipt(
      parseSigned(parseSignedJson(await response.json())),
      node.clock.now(),
    );
    expect(receipt.body).toMatchObject({
      node: node.id,
      domain: DOMAIN,
      chunks: [{ hash: chunk.hash, size: 300_000 }],
    });
    expect(new Uint8Array(await readFile(chunkPath(node, chunk.hash)))).toEqual(chunk.bytes);
    expect(await node.node.status()).toMatchObject({
      chunks: 1,
      usedBytes: 300_000,
      ...acceptedBytes(300_000),
    });
  });

  it("answers a replay with a receipt again, and keeps one copy", async () => {
    const chunk = chunkOf(5_000);
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await putChunk(node, publisher, chunk)).status);
    expect(statuses).toEqual([201, 200, 200]);
    expect(await node.node.status()).toMatchObject({ chunks: 1, usedBytes: 5_000, ...acceptedBytes(5_000) });
  });

  it("stores once what arrives several times at once", async () => {
    const chunk = chunkOf(5_000);
    const responses = await Promise.all(Array.from({ length: 10 }, () => putChunk(node, publisher, chunk)));
    expect(responses.map((response) => response.status).sort()).toEqual([...Array(9).fill(200), 201]);
    expect(await filesOf(node)).toEqual([chunk.hash]);
  });

  it("takes the largest chunk, with headers that name as many chunks as an upload may", async () => {
    const chunk = chunkOf(CHUNK_BYTES_MAX);
    const others = Array.from({ length: CHUNKS_PER_UPLOAD_MAX - 1 }, () => chunkOf(1).hash);
    const headers = await uploadHeaders(node, publisher, [...others, chunk.hash]);
    expect(await put(headers, chunk.hash, chunk.bytes)).toBe("201");
  });

  it("asks DNS once for many chunks", async () => {
    for (let i = 0; i < 5; i++) expect((await putChunk(node, publisher, chunkOf(100))).status).toBe(201);
    expect(dns.questions).toBe(1);
  });

  it("accepts a key that was published after the node first asked", async () => {
    await putChunk(node, publisher, chunkOf(100));
    const late = await createSigner();
    await dns.publish([keyRecord(dns.alice, AUTHOR), keyRecord(late)]);
    const response = await putChunk(node, await createPublisher(node, {}, late), chunkOf(100));
    expect(response.status).toBe(201);
  });

  it("does not ask DNS for each refused upload", async () => {
    const stranger = await createPublisher(node, {}, await createSigner());
    for (let i = 0; i < 20; i++) await putChunk(node, stranger, chunkOf(100));
    expect(dns.questions).toBeLessThanOrEqual(2);
  });

  it("stops accepting a grant once its key is withdrawn and DNS has been asked again", async () => {
    expect((await putChunk(node, publisher, chunkOf(100))).status).toBe(201);
    await dns.publish([keyRecord(await createSigner())]);
    await node.clock.advance(3_600_000 - 1_000);
    expect((await putChunk(node, publisher, chunkOf(100))).status).toBe(201);
    await node.clock.advance(999);
    const renewed = await createPublisher(node);
    await node.clock.advance(1_000);
    expect(await problemIn(await putChunk(node, renewed, chunkOf(100)))).toBe("403 key-not-authorized");
  });

  it("keeps on disk what it acknowledged when it is started anew", async () => {
    const chunk = chunkOf(5_000);
    await putChunk(node, publisher, chunk);
    await node.node.stop();
    const again = await startTestNode(cleanup, dns, { dir: node.dir });
    expect(again.id).toBe(node.id);
    const response = await fetch(`${again.url}/chunk/${chunk.hash}`);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(chunk.bytes);
  });
});

describe("PUT /chunk refuses, and keeps nothing of,", () => {
  const chunk = chunkOf(1_000);
  afterEach(async () => expect(await filesOf(node)).toEqual([]));

  async function refusal(changed: Publisher): Promise<string> {
    return problemIn(await putChunk(node, changed, chunk));
  }

  it("an upload without a grant", async () => {
    expect(await put({}, chunk.hash, chunk.bytes)).toBe("401 grant-missing");
  });

  it("an upload with a grant but no statement by its session key", async () => {
    const { "Holdfast-Grant": grant = "" } = await uploadHeaders(node, publisher, [chunk.hash]);
    expect(await put({ "Holdfast-Grant": grant }, chunk.hash, chunk.bytes)).toBe("401 grant-missing");
  });

  it("headers that are not signed statements", async () => {
    const headers = { "Holdfast-Grant": "nonsense", "Holdfast-Upload": "nonsense" };
    expect(await put(headers, chunk.hash, chunk.bytes)).toBe("400 invalid-request");
  });

  it("a grant by a key that is not the domain's", async () => {
    expect(await refusal(await createPublisher(node, {}, await createSigner()))).toBe(
      "403 key-not-authorized",
    );
  });

  it("a grant by the domain's key in somebody else's name", async () => {
    expect(await refusal(await createPublisher(node, { author: "bob@example.org" }))).toBe(
      "403 author-mismatch",
    );
  });

  it("a grant for a domain that has no record", async () => {
    const domain = DOMAIN.replace("org", "com") as typeof DOMAIN;
    expect(await refusal(await createPublisher(node, { domain }))).toBe("422 domain-not-found");
  });

  it("a grant that was signed in another namespace", async () => {
    const { grant } = await createPublisher(node);
    const signature = await dns.alice.sign("holdfast", grant.bytes);
    const changed = { ...publisher, grant: { ...grant, signature } };
    expect(await refusal(changed)).toBe("403 wrong-namespace");
  });

  it("a grant whose bytes are not canonical", async () => {
    const text = new TextDecoder().decode(publisher.grant.bytes).replace("{", "{ ");
    const bytes = new TextEncoder().encode(text);
    const grant = { bytes, signature: await dns.alice.sign("holdfast-upload", bytes), id: digestOf(bytes) };
    expect(await refusal({ ...publisher, grant })).toBe("400 not-canonical");
  });

  it("a grant with one byte changed", async () => {
    const text = new TextDecoder().decode(publisher.grant.bytes).replace("16777216", "16777217");
    const bytes = new TextEncoder().encode(text);
    expect(await refusal({ ...publisher, grant: { ...publisher.grant, bytes } })).toBe(
      "403 invalid-signature",
    );
  });

  it("a grant that has expired, also where the node knew it before", async () => {
    const soon = await createPublisher(node, { expires: isoTime(node.clock.now() + 1_000) });
    const other = chunkOf(10);
    expect((await putChunk(node, soon, other)).status).toBe(201);
    await node.clock.advance(1_000);
    expect(await refusal(soon)).toBe("403 grant-expired");
    await node.node.stop();
    node = await startTestNode(cleanup, dns, { clock: node.clock });
  });

  it("a grant that runs for more than a day", async () => {
    const expires = isoTime(node.clock.now() + 25 * 3_600_000);
    expect(await refusal(await createPublisher(node, { expires }))).toBe("403 grant-mismatch");
  });

  it("an upload that is meant for another node", async () => {
    const { id } = await startTestNode(cleanup, dns);
    const headers = await uploadHeaders(node, publisher, [chunk.hash], { node: id });
    expect(await put(headers, chunk.hash, chunk.bytes)).toBe("403 grant-mismatch");
  });

  it("an upload that does not name the chunk", async () => {
    const headers = await uploadHeaders(node, publisher, [chunkOf(1).hash]);
    expect(await put(headers, chunk.hash, chunk.bytes)).toBe("403 grant-mismatch");
  });

  it("an upload that is signed by another session key", async () => {
    const thief = { grant: publisher.grant, session: await createSigner() };
    expect(await refusal(thief)).toBe("403 grant-mismatch");
  });

  it("an upload under another grant than the one it names", async () => {
    const other = await createPublisher(node);
    const headers = await uploadHeaders(node, publisher, [chunk.hash]);
    const mixed = { ...headers, "Holdfast-Grant": formatSignedHeader(other.grant) };
    expect(await put(mixed, chunk.hash, chunk.bytes)).toBe("403 grant-mismatch");
  });

  it("bytes that hash to something else", async () => {
    const headers = await uploadHeaders(node, publisher, [chunk.hash]);
    expect(await put(headers, chunk.hash, chunkOf(1_000).bytes)).toBe("422 content-hash-mismatch");
  });

  it("one byte more than a chunk may have, announced or not", async () => {
    const large = chunkOf(CHUNK_BYTES_MAX + 1);
    const headers = await uploadHeaders(node, publisher, [large.hash]);
    expect(await put(headers, large.hash, large.bytes)).toBe("413 chunk-too-large");
    const body = ReadableStream.from([large.bytes]);
    const request = new Request(`${node.url}/chunk/${large.hash}`, {
      method: "PUT",
      headers,
      body,
      duplex: "half",
    });
    expect(await problemIn(await fetch(request))).toBe("413 chunk-too-large");
  });

  it("a body far over the limit, soon after it passes it", async () => {
    let sent = 0;
    const body = new ReadableStream({
      pull: (controller) => {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
        if (sent >= 16 * CHUNK_BYTES_MAX) controller.close();
      },
    });
    const headers = await uploadHeaders(node, publisher, [chunk.hash]);
    const request = new Request(`${node.url}/chunk/${chunk.hash}`, {
      method: "PUT",
      headers,
      body,
      duplex: "half",
    });
    expect(await problemIn(await node.node.fetch(request))).toBe("413 chunk-too-large");
    expect(sent).toBeLessThanOrEqual(CHUNK_BYTES_MAX + 4 * 65_536);
  });

  it("a body that ends before its announced length", async () => {
    const headers = { ...(await uploadHeaders(node, publisher, [chunk.hash])), "Content-Length": "1001" };
    const request = new Request(`${node.url}/chunk/${chunk.hash}`, {
      method: "PUT",
      headers,
      body: chunk.bytes,
    });
    expect(await problemIn(await node.node.fetch(request))).toBe("400 length-mismatch");
  });

  it("a connection that breaks off in the middle of the body", async () => {
    const headers = await uploadHeaders(node, publisher, [chunk.hash]);
    const { hostname, port } = new URL(node.url);
    const socket = connect(Number(port), hostname);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(
      `PUT /chunk/${chunk.hash} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n${lines.join("")}\r\n`,
    );
    socket.write(chunk.bytes.subarray(0, 999));
    let answer = "";
    socket.on("data", (data) => {
      answer += data.toString();
    });
    socket.end();
    await once(socket, "close");
    expect(answer).not.toMatch(/^HTTP\/1.1 20/);
  });

  it("what goes beyond the grant's bytes, counted over all its chunks", async () => {
    const small = await createPublisher(node, { bytes: 1_500 });
    const other = await startTestNode(cleanup, dns, { clock: node.clock });
    const first = chunkOf(1_000);
    const statuses = [first, chunkOf(1_000), chunkOf(500), first];
    const answers = [];
    for (const one of statuses) answers.push(await problemIn(await putChunk(other, small, one)));
    expect(answers).toEqual(["201", "403 grant-exceeded", "201", "200"]);
  });

  it("what fails, without charging it to the grant", async () => {
    const exact = await createPublisher(node, { bytes: 1_000 });
    const other = await startTestNode(cleanup, dns, { clock: node.clock });
    const wrong = { hash: chunk.hash, bytes: chunkOf(1_000).bytes };
    expect(await problemIn(await putChunk(other, exact, wrong))).toBe("422 content-hash-mismatch");
    expect(await problemIn(await putChunk(other, exact, chunk))).toBe("201");
  });

  it("a domain outside the pledge, without asking its DNS", async () => {
    const picky = await startTestNode(cleanup, dns, {
      pledge: { domains: [OTHER_DOMAIN] },
      clock: node.clock,
    });
    expect(await problemIn(await putChunk(picky, publisher, chunk))).toBe("403 domain-not-accepted");
    expect(dns.questions).toBe(0);
  });

  it("what the pledge has no room for", async () => {
    const small = await startTestNode(cleanup, dns, { pledge: { bytes: 1_500 }, clock: node.clock });
    const answers = await Promise.all(
      [chunkOf(1_000), chunkOf(1_000)].map(async (one) => problemIn(await putChunk(small, publisher, one))),
    );
    expect(answers.sort()).toEqual(["201", "507 quota-exceeded"]);
    expect(await filesOf(small)).toHaveLength(1);
  });

  it("what would eat into the disk's reserve", async () => {
    const deps = { freeDiskBytes: async () => 1_000 };
    const full = await startTestNode(cleanup, dns, {
      config: { diskReserveBytes: 1 },
      deps,
      clock: node.clock,
    });
    expect(await problemIn(await putChunk(full, publisher, chunk))).toBe("507 disk-full");
    expect(await filesOf(full)).toEqual([]);
  });

  it("everything while DNS gives no answer", async () => {
    const config = { dohUrls: ["http://127.0.0.1:9/dns-query"] };
    const deaf = await startTestNode(cleanup, dns, { config, clock: node.clock });
    expect(await problemIn(await putChunk(deaf, publisher, chunk))).toBe("503 dns-failed");
  });

  it("a hash in upper case", async () => {
    const headers = await uploadHeaders(node, publisher, [chunk.hash]);
    expect(await put(headers, chunk.hash.toUpperCase(), chunk.bytes)).toBe("400 invalid-hash");
  });
});

describe("GET /chunk", () => {
  it("serves the bytes as immutable content that no browser runs", async () => {
    const chunk = chunkOf(400_000);
    await putChunk(node, publisher, chunk);
    const response = await fetch(`${node.url}/chunk/${chunk.hash}`);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": "400000",
      etag: `"${chunk.hash}"`,
      "cache-control": "public, max-age=31536000, immutable",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; sandbox",
      "access-control-allow-origin": "*",
    });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(chunk.bytes);
    expect(await carriedBytes(node)).toEqual({ in: 400_000, out: 400_000 });
  });

  it("answers HEAD with the same headers and no bytes", async () => {
    const chunk = chunkOf(1_000);
    await putChunk(node, publisher, chunk);
    const response = await fetch(`${node.url}/chunk/${chunk.hash}`, { method: "HEAD" });
    expect([response.status, response.headers.get("content-length")]).toEqual([200, "1000"]);
    expect((await carriedBytes(node)).out).toBe(0);
  });

  it("answers 404 for a chunk that it does not hold", async () => {
    const response = await fetch(`${node.url}/chunk/${chunkOf(1).hash}`);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(await problemIn(response)).toBe("404 not-found");
  });

  it("does not release one byte of a chunk that is corrupt on disk", async () => {
    const chunk = chunkOf(1_000);
    await putChunk(node, publisher, chunk);
    await writeFile(chunkPath(node, chunk.hash), chunkOf(1_000).bytes);
    expect(await problemIn(await fetch(`${node.url}/chunk/${chunk.hash}`))).toBe("404 not-found");
    expect(await node.node.status()).toMatchObject({ chunks: 0, usedBytes: 0 });
    expect((await carriedBytes(node)).out).toBe(0);
  });

  it("does not leave the store, whatever the path says", async () => {
    const { hostname, port } = new URL(node.url);
    for (const path of [
      "/chunk/../../identity",
      "/chunk/..%2f..%2fidentity",
      "/chunk/%2e%2e/%2e%2e/identity",
    ]) {
      const socket = connect(Number(port), hostname);
      socket.end(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      const answer = Buffer.concat(await Array.fromAsync(socket)).toString();
      expect(answer).toMatch(/^HTTP\/1.1 40[04] /);
      expect(answer).not.toContain("OPENSSH");
    }
  });
});

it("an upload statement can be signed by nobody but the session key that a signed grant names", async () => {
  const chunk = chunkOf(100);
  const forged = await signStatement(
    grantKind,
    { ...JSON.parse(new TextDecoder().decode(publisher.grant.bytes)), bytes: 1 },
    publisher.session,
  );
  const answer = await putChunk(node, { grant: forged, session: publisher.session }, chunk);
  expect(await problemIn(answer)).toBe("403 key-not-authorized");
});
