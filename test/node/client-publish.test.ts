// Publishing to a small network on real sockets: home nodes that take chunks or fail to, and an edge that plans over
// them and accepts what it is sent. The real edge has its own suites.

import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeHasher, nodeHost } from "../../cli/node-host.ts";
import { authorizeFor } from "../../lib/authority.ts";
import { decodeBase64 } from "../../lib/base64.ts";
import { parseChunkBatch } from "../../lib/chunk-batch.ts";
import { download } from "../../lib/client/download.ts";
import { type PublishEvent, type PublishOptions, publish } from "../../lib/client/publish.ts";
import { GROUP_OBJECTS, publishBatch } from "../../lib/client/publish-batch.ts";
import { resolveObject } from "../../lib/client/resolve.ts";
import { Server } from "../../lib/client/server.ts";
import type { DomainKeyResolver } from "../../lib/domain-keys.ts";
import { type Hash, isHash, type NodeId } from "../../lib/hash.ts";
import { parseManifest } from "../../lib/manifest.ts";
import { parseName } from "../../lib/names.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import { claimOf } from "../../lib/publication.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement, verifyStatement } from "../../lib/statement.ts";
import { checkUpload, grantKind, receiptKind, uploadKind, verifyGrant } from "../../lib/upload.ts";
import { verifyVersion } from "../../lib/version.ts";
import { parsePlanRequest } from "../../lib/wire/chunks.ts";
import { type NamesRequest, type PublishedJson, parseNamesRequest } from "../../lib/wire/names.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { formatSigned, parseSigned, parseSignedHeader, type SignedJson } from "../../lib/wire/signed.ts";
import { signWitness } from "../../lib/witness.ts";
import {
  AUTHOR,
  answerChunk,
  answerJson,
  answerProblem,
  closeAll,
  contactAt,
  DOMAIN,
  type Handler,
  hashOf,
  makeSigner,
  NAME,
  NAME_HASH,
  notFound,
  publishKeys,
  readRequest,
  seededBytes,
  serve,
  sourceOf,
  type TestServer,
} from "./client-fixture.ts";

interface TestNode {
  contact: Contact;
  chunks: Map<Hash, Uint8Array>;
  published: PublishedJson[];
  server: TestServer;
}

type Fault =
  | "none"
  | "disk-full"
  | "hangs-up"
  | "wrong-receipt"
  | "receipt-of-another"
  | "refuses-names"
  /** Has no URL: it is reached through the edge. */
  | "behind-nat"
  /** Has a URL where nobody answers. */
  | "walled";

/** A home node that checks grant and upload, keeps chunks and signs receipts, but for its fault. */
async function startNode(fill: number, fault: Fault): Promise<TestNode> {
  const signer = await makeSigner(fill);
  const signReceipts = fault === "receipt-of-another" ? await makeSigner(fill + 100) : signer;
  const chunks = new Map<Hash, Uint8Array>();
  const published: PublishedJson[] = [];
  const server = await serve(async (request, response) => {
    if (request.method === "GET") return answerChunk(chunks, request, response);
    const body = await readRequest(request);
    if (request.url === "/names") return takeNames(body, fault, published, response);
    if (fault === "hangs-up") return void response.destroy();
    if (fault === "disk-full") return answerProblem(response, "disk-full", 507);
    const sent = await checkPut(request, body, nodeIdOf(signer.key));
    for (const { hash, bytes } of sent) chunks.set(hash, bytes);
    const receipt = {
      type: "holdfast-receipt-1" as const,
      node: nodeIdOf(signer.key),
      domain: DOMAIN,
      chunks: sent.map(({ hash, bytes }) => ({
        hash: fault === "wrong-receipt" ? NAME_HASH : hash,
        size: bytes.length,
      })),
      time: new Date().toISOString(),
    };
    answerJson(response, formatSigned(await signStatement(receiptKind, receipt, signReceipts)));
  });
  const contact = await contactAt(server.url, fill);
  const urls: Partial<Record<Fault, string | null>> = { "behind-nat": null, walled: "http://127.0.0.1:1" };
  return {
    contact: { ...contact, ...(fault in urls && { url: urls[fault] ?? null }) },
    chunks,
    published,
    server,
  };
}

function takeNames(body: Buffer, fault: Fault, published: PublishedJson[], response: ServerResponse): void {
  if (fault === "refuses-names") {
    answerProblem(response, "disk-full", 507);
    return;
  }
  const statements = versionsOf(parseNamesRequest(JSON.parse(body.toString())));
  published.push(...statements);
  const ids = statements.map(({ version }) => hashOf(decodeBase64(version.statement)));
  answerJson(response, { results: ids.map((id) => ({ id, status: "accepted", witnesses: [] })) });
}

function versionsOf({ statements }: NamesRequest): PublishedJson[] {
  return statements.filter((entry) => "version" in entry);
}

/** What a real node checks; a request that fails here makes the test fail, because the socket is then closed. */
async function checkPut(
  request: IncomingMessage,
  body: Buffer,
  node: NodeId,
): Promise<{ hash: Hash; bytes: Uint8Array }[]> {
  const isBatch = request.url === "/chunk";
  const sent = (isBatch ? parseChunkBatch(body) : [body]).map((bytes) => ({ hash: hashOf(bytes), bytes }));
  const grant = await verifyGrant(headerOf(request, "holdfast-grant"), Date.now());
  const upload = await verifyStatement(uploadKind, headerOf(request, "holdfast-upload"));
  for (const { hash } of sent) checkUpload(grant, upload, node, hash);
  if (!isBatch && request.url !== `/chunk/${sent[0]?.hash}`) throw new Error("not the chunk's bytes");
  return sent;
}

function headerOf(request: IncomingMessage, name: string): SignedStatement {
  return parseSignedHeader(String(request.headers[name]));
}

/** An edge that plans by counting who holds what, and keeps every Version that follows its newest. */
class TestEdge {
  readonly nodes: TestNode[];
  readonly plans: { chunks: number; receipts: number; avoid: number }[] = [];
  readonly posts: NamesRequest[] = [];
  /** What was asked of nodes through it. */
  readonly relayed: string[] = [];
  refuseWith: string | null = null;
  server: TestServer | null = null;
  #published: PublishedJson[] = [];

  constructor(nodes: TestNode[]) {
    this.nodes = nodes;
  }

  async start(): Promise<TestServer> {
    this.server = await serve((request, response) => this.#handle(request, response));
    return this.server;
  }

  readonly #handle: Handler = async (request, response) => {
    const [, via, path] = /^\/via\/([0-9a-f]{64})(\/.*)$/.exec(request.url ?? "") ?? [];
    if (via !== undefined && path !== undefined) return this.#relay(via, path, request, response);
    const body = await readRequest(request);
    const json = body.length === 0 ? null : JSON.parse(body.toString());
    if (request.url === "/chunk/plan") return answerJson(response, await this.#plan(json));
    if (request.url === "/chunk/locate") return answerJson(response, this.#locate(json.chunks));
    if (request.url === "/names") return this.#accept(parseNamesRequest(json), response);
    if (request.url === "/name/lookup") return answerJson(response, nothingKnownOf(json.names));
    if (request.url?.startsWith("/name/")) return answerJson(response, this.#name());
    notFound(request, response);
  };

  /** As it comes: what a relay checks has its own suites. */
  async #relay(id: string, path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.relayed.push(`${request.method} ${path}`);
    const node = this.nodes.find(({ contact }) => contact.id === id);
    const { host: _, ...headers } = request.headers;
    const passed = httpRequest(
      `${node?.server.url}${path}`,
      { method: request.method, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  }

  async #plan(json: unknown) {
    const { grant, replicas, chunks, avoid, receipts } = parsePlanRequest(json);
    await verifyGrant(parseSigned(grant), Date.now());
    this.plans.push({ chunks: chunks.length, receipts: receipts.length, avoid: avoid.length });
    const plan = chunks.map(({ hash }) => {
      const held = this.nodes.filter((node) => node.chunks.has(hash) && !avoid.includes(node.contact.id));
      const free = this.nodes.filter((node) => !held.includes(node) && !avoid.includes(node.contact.id));
      const send = free.slice(0, Math.max(0, replicas - held.length));
      return { hash, held: held.map(idOf), send: send.map(idOf) };
    });
    return { chunks: plan, nodes: this.nodes.map(({ contact }) => contact) };
  }

  #locate(hashes: Hash[]) {
    const chunks = hashes.map((hash) => ({
      hash,
      holders: this.nodes.filter((node) => node.chunks.has(hash)).map(idOf),
    }));
    return { chunks, nodes: this.nodes.map(({ contact }) => contact) };
  }

  async #accept(request: NamesRequest, response: Parameters<Handler>[1]): Promise<void> {
    this.posts.push(request);
    if (this.refuseWith !== null) {
      answerProblem(response, this.refuseWith, 409);
      return;
    }
    const statements = versionsOf(request);
    this.#published = [...statements, ...this.#published];
    const results = statements.map(async ({ version }) => ({
      id: hashOf(decodeBase64(version.statement)),
      status: "accepted",
      witnesses: [await witnessOf(version)],
    }));
    answerJson(response, { results: await Promise.all(results) });
  }

  #name() {
    const versions = this.#published.map(({ version }) => ({ ...version, witnesses: [] }));
    return {
      domain: DOMAIN,
      nameHash: NAME_HASH,
      versions,
      manifest: this.#published[0]?.manifest ?? null,
      next: null,
    };
  }
}

function nothingKnownOf(names: unknown[]) {
  return { names: names.map(() => ({ version: null, manifest: null })) };
}

async function witnessOf(signed: SignedJson): Promise<SignedJson> {
  const signer = await makeSigner(99);
  const version = await verifyVersion(parseSigned(signed));
  const authority = await authorizeFor(domainKeys, claimOf(version));
  return formatSigned(await signWitness(version, authority, nodeIdOf(signer.key), Date.now(), signer));
}

const idOf = ({ contact }: TestNode) => contact.id;

let owner: StatementSigner;
let domainKeys: DomainKeyResolver;

beforeEach(async () => {
  owner = await makeSigner(1);
  ({ domainKeys } = await publishKeys([owner]));
});
afterEach(closeAll);

async function startNetwork(...faults: Fault[]) {
  const nodes = await Promise.all(faults.map((fault, index) => startNode(20 + index, fault)));
  const edge = new TestEdge(nodes);
  return { nodes, edge, server: await edge.start() };
}

function requestFor(bytes: Uint8Array, changes: object = {}) {
  async function* blocks() {
    for (let i = 0; i < bytes.length; i += 100_000) yield bytes.subarray(i, i + 100_000);
  }
  const sizeBytes = bytes.length;
  const contentType = "application/octet-stream";
  return {
    domain: DOMAIN,
    name: NAME,
    author: AUTHOR,
    blocks: blocks(),
    sizeBytes,
    redundancy: { replicas: 2 },
    contentType,
    ...changes,
  };
}

function optionsFor(server: TestServer, changes: Partial<PublishOptions> = {}): PublishOptions {
  const edge = new Server(server.url, nodeHost.fetch);
  return { host: nodeHost, edge, servers: [edge], domainKeys, signer: owner, ...changes };
}

async function readBack(server: TestServer): Promise<Buffer> {
  const source = sourceOf([server]);
  const edge = new Server(server.url, nodeHost.fetch);
  const { manifest } = await resolveObject(
    { domain: DOMAIN, nameHash: NAME_HASH },
    { servers: [edge], domainKeys, source, now: Date.now },
  );
  const pieces: Uint8Array[] = [];
  await download(
    manifest,
    { write: async (bytes) => void pieces.push(bytes) },
    { source, hasher: nodeHasher },
  );
  return Buffer.concat(pieces);
}

describe("publish", () => {
  test("puts every chunk and the Manifest on as many nodes as asked, and can be read back", async () => {
    const { nodes, server } = await startNetwork("none", "none", "none");
    const bytes = seededBytes("object", 3_000_000);
    const result = await publish(requestFor(bytes), optionsFor(server));
    expect(result).toMatchObject({ status: "published", warnings: [], bundle: { kept: 2, holders: 2 } });
    const { manifest, sequence, previous, size } = result.version.body;
    expect({ sequence, previous, size }).toEqual({ sequence: 1, previous: null, size: 3_000_000 });
    const held = nodes.filter((node) => node.chunks.has(manifest));
    expect(held.length).toBe(2);
    expect((await readBack(server)).equals(bytes)).toBe(true);
  });

  test("gives the Manifest's holders the Version with the edge's witnesses", async () => {
    const { nodes, server } = await startNetwork("none", "none");
    const { version } = await publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
    for (const { published } of nodes) {
      expect(published.length).toBe(1);
      expect(published[0]?.witnesses.length).toBe(1);
      const signed = parseSigned(published[0]?.version ?? { statement: "", signature: "" });
      expect((await verifyVersion(signed)).id).toBe(version.id);
    }
  });

  test("hands in a receipt for every copy that it sent", async () => {
    const { edge, server } = await startNetwork("none", "none");
    await publish(requestFor(seededBytes("a", 3_000_000)), optionsFor(server));
    const stored = edge.nodes.reduce((sum, node) => sum + node.chunks.size, 0);
    const planned = edge.plans.reduce((sum, plan) => sum + plan.receipts, 0);
    expect(planned + (edge.posts[0]?.receipts.length ?? 0)).toBe(stored);
  });

  test.each(["disk-full", "hangs-up", "wrong-receipt", "receipt-of-another"] as const)(
    "plans again around a node whose fault is: %s",
    async (fault) => {
      const { nodes, edge, server } = await startNetwork(fault, "none", "none");
      const events: PublishEvent[] = [];
      const bytes = seededBytes("object", 1_500_000);
      const options = optionsFor(server, { onEvent: (event) => events.push(event) });
      // The bad node's own claim to hold the chunk must not count either.
      nodes[0]?.chunks.clear();
      const result = await publish(requestFor(bytes), options);
      expect(result.status).toBe("published");
      expect(new Set(events.flatMap((event) => (event.type === "node-failed" ? [event.node] : [])))).toEqual(
        new Set([nodes[0]?.contact.id]),
      );
      expect(edge.plans.at(-1)?.avoid).toBe(1);
      for (const node of nodes.slice(1)) expect(node.chunks.has(result.version.body.manifest)).toBe(true);
    },
  );

  test("fails with too-few-nodes, before anything is announced, when nodes run out", async () => {
    const { edge, server } = await startNetwork("none", "disk-full");
    const published = publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
    await expect(published).rejects.toMatchObject({
      code: "too-few-nodes",
      message: expect.stringMatching(/1 of 2 nodes.*disk-full/),
    });
    expect(edge.posts).toEqual([]);
  });

  test("warns when fewer of the Manifest's holders than asked keep the Version", async () => {
    const { server } = await startNetwork("refuses-names", "none");
    const result = await publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
    expect(result.bundle).toMatchObject({ holders: 2, kept: 1 });
    expect(result.warnings).toEqual([expect.stringContaining("1 of 2 holders")]);
  });

  test.each(["behind-nat", "walled"] as const)(
    "gives the bundle through the edge to a holder that is %s",
    async (fault) => {
      const { nodes, edge, server } = await startNetwork(fault, "none");
      const result = await publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
      expect(result).toMatchObject({ warnings: [], bundle: { holders: 2, kept: 2, failures: [] } });
      expect(nodes.map(({ published }) => published.length)).toEqual([1, 1]);
      expect(edge.relayed.filter((request) => request === "POST /names").length).toBe(1);
    },
  );

  test("hands the bundles of many objects to a holder behind NAT in one request", async () => {
    const { nodes, edge, server } = await startNetwork("behind-nat", "none");
    const requests = Array.from({ length: GROUP_OBJECTS }, (_, i) => ({
      name: parseName(`file ${i}`),
      open: async function* () {
        yield seededBytes(`file ${i}`, 100);
      },
      sizeBytes: 100,
      contentType: "text/plain",
      redundancy: { replicas: 2 },
    }));
    const options = { ...optionsFor(server), domain: DOMAIN, author: AUTHOR };
    const outcomes = await Array.fromAsync(publishBatch(requests, options));
    expect(outcomes.every(({ status }) => status === "published")).toBe(true);
    expect(nodes.map(({ published }) => published.length)).toEqual([GROUP_OBJECTS, GROUP_OBJECTS]);
    expect(edge.relayed.filter((request) => request === "POST /names").length).toBe(1);
  });

  test("makes no new Version of bytes that are published already", async () => {
    const { edge, server } = await startNetwork("none", "none");
    const first = await publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
    const again = await publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
    expect(again).toMatchObject({ status: "unchanged", version: { id: first.version.id } });
    expect(edge.posts.length).toBe(1);
  });

  test("follows the newest Version, and is never dated before it", async () => {
    const { server } = await startNetwork("none", "none");
    const first = await publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
    const host = { ...nodeHost, now: () => Date.now() - 60_000 };
    const second = await publish(requestFor(seededBytes("b", 1000)), optionsFor(server, { host }));
    expect(second.version.body).toMatchObject({
      sequence: 2,
      previous: first.version.id,
      time: first.version.body.time,
    });
  });

  test.each(["sequence-gap", "unknown-previous", "fork"])(
    "does not publish over somebody else's Version: %s ends it with advice",
    async (code) => {
      const { edge, server } = await startNetwork("none", "none");
      edge.refuseWith = code;
      const published = publish(requestFor(seededBytes("a", 1000)), optionsFor(server));
      await expect(published).rejects.toMatchObject({
        code,
        message: expect.stringContaining("look at the log"),
      });
      expect(edge.posts.length).toBe(1);
    },
  );

  test("reads nothing and asks for no plan where the key is not the domain's", async () => {
    const { edge, server } = await startNetwork("none", "none");
    const signer = await makeSigner(2);
    const published = publish(requestFor(seededBytes("a", 1000)), optionsFor(server, { signer }));
    await expect(published).rejects.toMatchObject({ code: "key-not-authorized" });
    expect(edge.plans).toEqual([]);
  });

  test("publishes an empty object", async () => {
    const { server } = await startNetwork("none", "none");
    const result = await publish(requestFor(new Uint8Array(0)), optionsFor(server));
    expect(result.version.body.size).toBe(0);
    expect((await readBack(server)).length).toBe(0);
  });

  test("lists parts where there are more chunks than one Manifest may list", async () => {
    const { nodes, server } = await startNetwork("none", "none");
    const bytes = seededBytes("large", 9_000_000);
    const result = await publish(requestFor(bytes), optionsFor(server, { chunksPerManifest: 3 }));
    const stored = nodes[0]?.chunks.get(result.version.body.manifest) ?? new Uint8Array(0);
    const manifest = parseManifest(stored);
    expect("parts" in manifest && manifest.parts.length).toBeGreaterThan(1);
    expect((await readBack(server)).equals(bytes)).toBe(true);
  });

  test("signs a grant for the copies asked for, usable for a day at most", async () => {
    const grants: string[] = [];
    const { server } = await startNetwork("none", "none");
    const fetchSpy: typeof nodeHost.fetch = (url, init) => {
      const grant = init?.headers?.["Holdfast-Grant"];
      if (grant !== undefined) grants.push(grant);
      return nodeHost.fetch(url, init);
    };
    await publish(
      requestFor(seededBytes("a", 500_000)),
      optionsFor(server, { host: { ...nodeHost, fetch: fetchSpy } }),
    );
    expect(new Set(grants).size).toBe(1);
    const { body, id } = await verifyStatement(grantKind, parseSignedHeader(grants[0] ?? ""));
    expect(isHash(id)).toBe(true);
    expect(body.bytes).toBeGreaterThan(2 * 500_000);
    expect(Date.parse(body.expires) - Date.parse(body.time)).toBeLessThanOrEqual(24 * 3600 * 1000);
  });

  test("does not hold more than two windows of a large object at once", async () => {
    const { server } = await startNetwork("none");
    let read = 0;
    let stored = 0;
    let most = 0;
    const bytes = seededBytes("huge", 1_000_000);
    async function* blocks() {
      for (let i = 0; i < 100; i++) {
        const block = Buffer.from(bytes);
        block.writeUInt32LE(i);
        read += block.length;
        most = Math.max(most, read - stored);
        yield block;
      }
    }
    const onEvent = (event: PublishEvent): void => {
      if (event.type === "stored") stored += event.sizeBytes;
    };
    const request = requestFor(new Uint8Array(0), {
      blocks: blocks(),
      sizeBytes: null,
      redundancy: { replicas: 1 },
    });
    const result = await publish(request, optionsFor(server, { onEvent }));
    expect(result.version.body.size).toBe(100_000_000);
    expect(most).toBeLessThan(2 * 32 * 1024 * 1024 + 8_000_000);
  });
});
