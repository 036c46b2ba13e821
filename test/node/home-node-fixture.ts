// What the home node's suites share: a clock that tests move, keys, a zone behind a real DNS-over-HTTPS responder,
// a node that runs on a real port, and the requests that a publisher makes.

import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { base64 } from "@scure/base";
import { pino } from "pino";
import { createDohResponder } from "../../cli/local/doh-responder.ts";
import { formatZoneRecord } from "../../cli/local/zone-file.ts";
import type { Clock } from "../../home-node/clock.ts";
import { type NodeConfig, parseNodeConfig } from "../../home-node/config.ts";
import { createHomeNode, type HomeNode } from "../../home-node/home-node.ts";
import type { HomeNodeDeps } from "../../home-node/parts.ts";
import { digestOf } from "../../home-node/store/digest.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, type NodeId, parseHash } from "../../lib/hash.ts";
import { type ChunkRef, encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { grantKind, type Upload, type UploadGrant, uploadKind } from "../../lib/upload.ts";
import { type Version, versionKind } from "../../lib/version.ts";
import type { PublishedJson } from "../../lib/wire/names.ts";
import { formatSigned, formatSignedHeader } from "../../lib/wire/signed.ts";

export const DOMAIN = parseDomain("example.org");
export const OTHER_DOMAIN = parseDomain("example.net");
export const AUTHOR = "alice@example.org";

/** A clock that stands still until it is advanced; sleepers wake in the order of their times. */
export class ManualClock implements Clock {
  #now = Date.parse("2026-03-01T12:00:00.000Z");
  #sleepers: { atMs: number; wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  /** How many are asleep, and until when. */
  get sleepingUntil(): number[] {
    return this.#sleepers.map(({ atMs }) => atMs - this.#now).sort((a, b) => a - b);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = { atMs: this.#now + ms, wake: () => this.#wake(sleeper, resolve) };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", sleeper.wake, { once: true });
    });
  }

  /** Moves time on, stopping at each sleeper so that it may go to sleep again. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const next = this.#sleepers.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.atMs);
      next.wake();
      await settle();
    }
    this.#now = until;
  }

  #wake(sleeper: { atMs: number; wake: () => void }, resolve: () => void): void {
    this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
    resolve();
  }
}

/** Lets promises and sockets that are ready go on. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for something that real sockets or files bring about; fails after five seconds. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function createSigner(): Promise<StatementSigner> {
  return createStatementSigner(await importSigner(new Uint8Array(randomBytes(32))));
}

export function keyRecord(signer: StatementSigner, email?: string): string {
  const owner = email === undefined ? "" : `; e=${email}`;
  return `v=hf1; k=ssh-ed25519; p=${formatPublicKeyText(signer.key)}${owner}`;
}

/** Things to undo after a test, the last first. */
export class Cleanup {
  readonly #tasks: (() => Promise<unknown>)[] = [];

  add(task: () => Promise<unknown>): void {
    this.#tasks.push(task);
  }

  async run(): Promise<void> {
    for (const task of this.#tasks.splice(0).reverse()) await task();
  }

  async directory(): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), "holdfast-node-"));
    this.add(() => rm(dir, { recursive: true, force: true }));
    return dir;
  }
}

/** DNS for both test domains, with one key each, and the number of questions it was asked. */
export class TestDns {
  readonly alice: StatementSigner;
  readonly other: StatementSigner;
  url = "";
  questions = 0;
  readonly #zoneFile: string;

  private constructor(zoneFile: string, alice: StatementSigner, other: StatementSigner) {
    this.#zoneFile = zoneFile;
    this.alice = alice;
    this.other = other;
  }

  static async start(cleanup: Cleanup): Promise<TestDns> {
    const zoneFile = join(await cleanup.directory(), "zone");
    const dns = new TestDns(zoneFile, await createSigner(), await createSigner());
    await dns.publish([keyRecord(dns.alice, AUTHOR)]);
    const responder = createDohResponder({ zoneFile });
    dns.url = (await responder.start()).url;
    cleanup.add(() => responder.stop());
    return dns;
  }

  /** Replaces the records of example.org; they are kept by resolvers for an hour. */
  async publish(records: string[]): Promise<void> {
    const lines = [
      ...records.map((text) => formatZoneRecord(`_holdfast.${DOMAIN}`, text, 3600)),
      formatZoneRecord(`_holdfast.${OTHER_DOMAIN}`, keyRecord(this.other), 3600),
    ];
    await writeFile(this.#zoneFile, `${lines.join("\n")}\n`);
  }

  readonly fetch: typeof fetch = (input, init) => {
    this.questions += 1;
    return fetch(input, init);
  };
}

export interface TestNode {
  node: HomeNode;
  id: NodeId;
  url: string;
  dir: string;
  clock: ManualClock;
  dns: TestDns;
}

export interface TestNodeOptions {
  dir?: string;
  config?: Partial<NodeConfig>;
  pledge?: Partial<NodeConfig["pledge"]>;
  deps?: Partial<HomeNodeDeps>;
  clock?: ManualClock;
}

/** A node on a free port of this machine, pledged to every domain, stopped after the test. */
export async function startTestNode(
  cleanup: Cleanup,
  dns: TestDns,
  options: TestNodeOptions = {},
): Promise<TestNode> {
  const dir = options.dir ?? (await cleanup.directory());
  const clock = options.clock ?? new ManualClock();
  const config = parseNodeConfig({
    dir,
    listen: { host: "127.0.0.1", port: 0 },
    publicUrl: null,
    advertise: true,
    edges: [],
    dohUrls: [dns.url],
    pledge: {
      bytes: 64 * 1024 * 1024,
      uploadRate: null,
      downloadRate: null,
      domains: "all",
      ...options.pledge,
    },
    diskReserveBytes: 0,
    collectSeconds: 0,
    scrubRate: null,
    ...options.config,
  });
  const node = createHomeNode(config, {
    log: pino({ level: "silent" }),
    clock,
    random: () => 0.5,
    fetch: dns.fetch,
    ...options.deps,
  });
  cleanup.add(() => node.stop());
  const { id, url } = await node.start();
  return { node, id, url: url ?? "", dir, clock, dns };
}

/** Bytes that the node has handed out and taken in since its folder was made, by whatever way. */
export async function carriedBytes({ node }: Pick<TestNode, "node">): Promise<{ in: number; out: number }> {
  const { direct, tunnel } = (await node.status()).traffic.total;
  return { in: direct.in.bytes + tunnel.in.bytes, out: direct.out.bytes + tunnel.out.bytes };
}

export function chunkOf(size: number): { bytes: Uint8Array<ArrayBuffer>; hash: Hash } {
  const bytes = new Uint8Array(randomBytes(size));
  return { bytes, hash: digestOf(bytes) };
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** What a publisher holds: a grant by the domain's key, and the session key it names. */
export interface Publisher {
  grant: SignedStatement & { id: Hash };
  session: StatementSigner;
}

export async function createPublisher(
  { clock, dns }: Pick<TestNode, "clock" | "dns">,
  change: Partial<UploadGrant> = {},
  signer: StatementSigner = dns.alice,
): Promise<Publisher> {
  const session = await createSigner();
  const grant = await signStatement(
    grantKind,
    {
      type: grantKind.type,
      domain: DOMAIN,
      author: AUTHOR,
      session: formatPublicKeyText(session.key),
      bytes: 16 * 1024 * 1024,
      time: isoTime(clock.now()),
      expires: isoTime(clock.now() + 3_600_000),
      ...change,
    },
    signer,
  );
  return { grant, session };
}

/** The two headers of an upload of `chunks` to the node. */
export async function uploadHeaders(
  target: Pick<TestNode, "id" | "clock">,
  { grant, session }: Publisher,
  chunks: Hash[],
  change: Partial<Upload> = {},
): Promise<Record<string, string>> {
  const upload = await signStatement(
    uploadKind,
    {
      type: uploadKind.type,
      grant: grant.id,
      node: target.id,
      chunks,
      time: isoTime(target.clock.now()),
      ...change,
    },
    session,
  );
  return { "Holdfast-Grant": formatSignedHeader(grant), "Holdfast-Upload": formatSignedHeader(upload) };
}

export async function putChunk(
  target: TestNode,
  publisher: Publisher,
  chunk: { bytes: Uint8Array<ArrayBuffer>; hash: Hash },
): Promise<Response> {
  const headers = await uploadHeaders(target, publisher, [chunk.hash]);
  return fetch(`${target.url}/chunk/${chunk.hash}`, { method: "PUT", headers, body: chunk.bytes });
}

/** `status code` of a problem answer, such as "403 grant-expired"; the status alone of any other. */
export async function problemIn(response: Response): Promise<string> {
  const isProblem = response.headers.get("content-type") === "application/problem+json";
  const body: unknown = isProblem ? await response.json() : await response.arrayBuffer();
  const code = typeof body === "object" && body !== null && "code" in body ? ` ${String(body.code)}` : "";
  return `${response.status}${code}`;
}

export interface PublicationChange {
  version?: Partial<Version>;
  /** Leaves the name out. */
  isPrivate?: boolean;
  chunks?: ChunkRef[];
  signer?: StatementSigner;
  witnesses?: PublishedJson["witnesses"];
}

/** A Version with its Manifest, as POST /names carries it. */
export async function publicationOf(
  { clock, dns }: Pick<TestNode, "clock" | "dns">,
  nameText: string,
  change: PublicationChange = {},
): Promise<{
  json: PublishedJson;
  id: Hash;
  nameHash: Hash;
  manifest: Uint8Array<ArrayBuffer>;
  signed: SignedStatement;
}> {
  const chunks = change.chunks ?? [{ hash: digestOf(new TextEncoder().encode(nameText)), size: 10 }];
  const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
  const manifest = encodeManifest(
    {
      size,
      digest: parseHash("0".repeat(64)),
      contentType: "text/plain",
      metadata: {},
      redundancy: { replicas: 1 },
    },
    { chunks },
  );
  const name = parseName(nameText);
  const nameHash = nameHashOf(change.version?.domain ?? DOMAIN, name);
  const signed = await signStatement(
    versionKind,
    {
      type: versionKind.type,
      domain: DOMAIN,
      nameHash,
      ...(change.isPrivate === true ? {} : { name }),
      sequence: 1,
      previous: null,
      time: isoTime(clock.now()),
      manifest: digestOf(manifest),
      size,
      author: AUTHOR,
      ...change.version,
    },
    change.signer ?? dns.alice,
  );
  const json = {
    version: formatSigned(signed),
    manifest: base64.encode(manifest),
    witnesses: change.witnesses ?? [],
  };
  return { json, id: signed.id, nameHash, manifest, signed };
}

export function postNames(target: Pick<TestNode, "url">, statements: PublishedJson[]): Promise<Response> {
  return fetch(`${target.url}/names`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ statements, receipts: [] }),
  });
}
