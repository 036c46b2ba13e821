// What the client's suites share: HTTP servers that behave as a test tells them, objects cut into small chunks,
// signed statements, and a domain whose keys stand in a zone behind a real DNS-over-HTTPS responder.

import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { base64 } from "@scure/base";
import { createDohResponder } from "../../cli/local/doh-responder.ts";
import { formatDomainZone } from "../../cli/local/zone-records.ts";
import { nodeHasher, nodeHost } from "../../cli/node-host.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import { ChunkSource, type HolderFailure } from "../../lib/client/chunk-source.ts";
import { Server } from "../../lib/client/server.ts";
import { createDomainKeyResolver, type DomainKeyResolver } from "../../lib/domain-keys.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, parseHash, parseNodeId } from "../../lib/hash.ts";
import { type ChunkRef, encodeManifest, type Manifest, parseManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import { type VerifiedVersion, type Version, versionKind } from "../../lib/version.ts";
import type { LocateAnswer } from "../../lib/wire/chunks.ts";
import type { Contact } from "../../lib/wire/nodes.ts";

export const DOMAIN = parseDomain("example.test");
export const NAME = parseName("app.iso");
export const NAME_HASH = nameHashOf(DOMAIN, NAME);
export const AUTHOR = "alice@example.test";
export const START_TIME = "2026-01-02T03:04:05.678Z";
/** Bad holders are given up quickly in tests. */
export const QUICK = { idleMs: 800, totalMs: 4000 };

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface TestServer {
  url: string;
  /** "METHOD /path" of each request, in order. */
  requests: string[];
  close(): Promise<void>;
}

const running = new Set<() => Promise<unknown>>();

/** Ends every server and folder of the test; call in afterEach. */
export async function closeAll(): Promise<void> {
  const closers = [...running];
  running.clear();
  await Promise.all(closers.map((close) => close()));
}

/** An HTTP server on a free port of the loopback interface. */
export async function serve(handler: Handler): Promise<TestServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    Promise.resolve(handler(request, response)).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  running.add(close);
  return { url: `http://127.0.0.1:${port}`, requests, close };
}

export function answerJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, {
    "content-type": status === 200 ? "application/json" : "application/problem+json",
  });
  response.end(JSON.stringify(value));
}

export function answerProblem(response: ServerResponse, code: string, status: number): void {
  answerJson(
    response,
    { type: "about:blank", title: code, status, code, detail: `refused with ${code}` },
    status,
  );
}

export async function readRequest(request: IncomingMessage): Promise<Buffer> {
  const blocks: Buffer[] = [];
  for await (const block of request) blocks.push(block);
  return Buffer.concat(blocks);
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-client-"));
  running.add(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function makeSigner(fill: number): Promise<StatementSigner> {
  return createStatementSigner(await importSigner(new Uint8Array(32).fill(fill)));
}

/** DNS in which `signers` may sign for DOMAIN. */
export async function publishKeys(
  signers: StatementSigner[],
): Promise<{ dohUrl: string; domainKeys: DomainKeyResolver }> {
  const zoneFile = join(await temporaryFolder(), "zone");
  await writeFile(zoneFile, signers.map(({ key }) => formatDomainZone(DOMAIN, key, [])).join(""));
  const responder = createDohResponder({ zoneFile });
  const { url } = await responder.start();
  running.add(() => responder.stop());
  return { dohUrl: url, domainKeys: createDomainKeyResolver({ fetch, dohUrls: [url], now: Date.now }) };
}

export interface TestObject {
  bytes: Buffer;
  chunks: Map<Hash, Buffer>;
  manifest: Manifest;
  manifestBytes: Uint8Array<ArrayBuffer>;
  manifestHash: Hash;
}

/** Pseudo-random bytes: equal seeds, equal bytes. */
export function seededBytes(seed: string, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < length; i++) blocks.push(createHash("sha256").update(`${seed}/${i}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

/** An object of `count` distinct chunks of `size` bytes, and its Manifest. */
export function makeObject(count: number, size = 3000, seed = "object"): TestObject {
  const bytes = seededBytes(seed, count * size);
  const chunks = new Map<Hash, Buffer>();
  const refs: ChunkRef[] = [];
  for (let offset = 0; offset < bytes.length; offset += size) {
    const chunk = bytes.subarray(offset, offset + size);
    refs.push({ hash: hashOf(chunk), size: chunk.length });
    chunks.set(hashOf(chunk), chunk);
  }
  const manifestBytes = encodeManifest(
    {
      size: bytes.length,
      digest: hashOf(bytes),
      contentType: "application/octet-stream",
      metadata: {},
      redundancy: { replicas: 1 },
    },
    { chunks: refs },
  );
  const manifest = parseManifest(manifestBytes);
  return { bytes, chunks, manifest, manifestBytes, manifestHash: hashOf(manifestBytes) };
}

export function hashOf(bytes: Uint8Array): Hash {
  return parseHash(createHash("sha256").update(bytes).digest("hex"));
}

/** A Version of DOMAIN/NAME whose Manifest is `object`'s, but for what `changes` says. */
export function signVersion(
  signer: StatementSigner,
  object: TestObject,
  changes: Partial<Version> = {},
): Promise<VerifiedVersion> {
  return signStatement(
    versionKind,
    {
      type: "holdfast-version-1",
      domain: DOMAIN,
      nameHash: NAME_HASH,
      name: NAME,
      sequence: 1,
      previous: null,
      time: START_TIME,
      manifest: object.manifestHash,
      size: object.bytes.length,
      author: AUTHOR,
      ...changes,
    },
    signer,
  );
}

/** A contact with a key of its own, as an edge would hand it out. */
export async function contactAt(url: string | null, fill: number): Promise<Contact> {
  const { key } = await makeSigner(fill);
  return { id: nodeIdOf(key), key: formatPublicKeyText(key), url };
}

/** A server that tells the same holders for every chunk, and holds no chunk itself. */
export function serveLocate(
  contacts: Contact[],
  fallback: Handler = notFound,
  said: Partial<LocateAnswer> = {},
): Promise<TestServer> {
  return serve(async (request, response) => {
    if (request.url !== "/chunk/locate") return fallback(request, response);
    const { chunks } = JSON.parse((await readRequest(request)).toString());
    const ids = contacts.map((contact) => parseNodeId(contact.id));
    const answer: LocateAnswer = {
      chunks: chunks.map((hash: Hash) => ({ hash, holders: ids })),
      nodes: contacts,
      ...said,
    };
    answerJson(response, answer);
  });
}

export function notFound(_request: IncomingMessage, response: ServerResponse): void {
  answerProblem(response, "not-found", 404);
}

/** A home node that serves `chunks` well. */
export function serveChunks(chunks: ReadonlyMap<Hash, Uint8Array>): Promise<TestServer> {
  return serve((request, response) => answerChunk(chunks, request, response));
}

export function answerChunk(
  chunks: ReadonlyMap<Hash, Uint8Array>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const bytes = chunkAsked(chunks, request);
  if (bytes === null) {
    notFound(request, response);
    return;
  }
  response.writeHead(200, { "content-length": bytes.length });
  response.end(bytes);
}

/** The chunk that a GET /chunk/<hash> asks for. */
export function chunkAsked(
  chunks: ReadonlyMap<Hash, Uint8Array>,
  request: IncomingMessage,
): Uint8Array | null {
  const hash = /\/chunk\/([0-9a-f]{64})$/.exec(request.url ?? "")?.[1];
  return hash === undefined ? null : (chunks.get(parseHash(hash)) ?? null);
}

export function sourceOf(servers: TestServer[], failures: HolderFailure[] = []): ChunkSource {
  return new ChunkSource({
    servers: clientsOf(servers),
    hasher: nodeHasher,
    fetchChunk: createChunkFetch(nodeHost.fetch, QUICK),
    onHolderFailed: (failure) => failures.push(failure),
  });
}

export function clientsOf(servers: TestServer[]): Server[] {
  return servers.map(({ url }) => new Server(url, nodeHost.fetch));
}

export function encodeBase64(bytes: Uint8Array): string {
  return base64.encode(bytes);
}
