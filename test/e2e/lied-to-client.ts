// The real client as it meets a lying edge: the operations behind get, ls, log, verify and publish over real sockets, each
// of which ends in what it gives or in a code. Marks of what was seen are real files.

import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { nodeHasher, nodeHost } from "../../cli/node-host.ts";
import { SeenFiles } from "../../cli/seen-files.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import { ChunkSource } from "../../lib/client/chunk-source.ts";
import { download } from "../../lib/client/download.ts";
import { type PublishResult, publish } from "../../lib/client/publish.ts";
import { type ResolvedObject, resolveObject } from "../../lib/client/resolve.ts";
import { Server } from "../../lib/client/server.ts";
import { findTree, treeFiles } from "../../lib/client/tree.ts";
import { findDifference } from "../../lib/client/verify.ts";
import { collectVersions } from "../../lib/client/versions.ts";
import type { DeadlineLimits } from "../../lib/deadline.ts";
import {
  createDomainKeyCache,
  createDomainKeyResolver,
  type DomainKeyResolver,
} from "../../lib/domain-keys.ts";
import { isHoldfastError } from "../../lib/error.ts";
import type { Manifest } from "../../lib/manifest.ts";
import { type Domain, nameHashOf, parseName } from "../../lib/names.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";

/** What an operation came to. */
export type Outcome = { value: unknown } | { code: string };

export interface LiedToOptions {
  /** Servers asked; the first is the edge that is written to. */
  urls: string[];
  dohUrl: string;
  domain: Domain;
  /** Where marks are kept. */
  folder: string;
  chunkLimits?: DeadlineLimits;
  now?: () => number;
}

export class LiedToClient {
  readonly #options: LiedToOptions;
  readonly #servers: Server[];
  readonly #domainKeys: DomainKeyResolver;
  readonly #seen: SeenFiles;
  readonly #now: () => number;

  private constructor(options: LiedToOptions, seenFolder: string) {
    const { urls, dohUrl, now = Date.now } = options;
    this.#options = options;
    this.#now = now;
    this.#servers = urls.map((url) => new Server(url, nodeHost.fetch));
    this.#seen = new SeenFiles({ folder: seenFolder, warn: () => undefined });
    const cache = createDomainKeyCache();
    this.#domainKeys = createDomainKeyResolver({ fetch: nodeHost.fetch, dohUrls: [dohUrl], now, cache });
  }

  /** A client that has seen nothing yet. */
  static async create(options: LiedToOptions): Promise<LiedToClient> {
    return new LiedToClient(options, await mkdtemp(join(options.folder, "seen-")));
  }

  /** The bytes, as text. */
  async get(name: string): Promise<string> {
    const { manifest, source } = await this.#open(name);
    return bytesOf(manifest, source);
  }

  /** The tree's entries. */
  async ls(prefix: string): Promise<string> {
    const { tree } = await this.#findTree(prefix);
    return JSON.stringify(tree.index.entries);
  }

  /** The tree's files with their bytes. */
  async getTree(prefix: string): Promise<string> {
    const { tree, options } = await this.#findTree(prefix);
    const files: string[] = [];
    for await (const group of treeFiles(tree.root, tree.index.entries, options)) {
      for (const { entry, manifest } of group) {
        files.push(`${entry.name}: ${await bytesOf(manifest, options.source)}`);
      }
    }
    return files.join("\n");
  }

  async #findTree(prefix: string) {
    const options = { ...this.#reading(), hasher: nodeHasher };
    return { options, ...(await findTree(this.#options.domain, prefix, options)) };
  }

  /** The ids of the Versions that are said to be the domain's. */
  async log(name: string): Promise<string[]> {
    const query = { domain: this.#options.domain, nameHash: this.#nameHash(name), depth: "all" } as const;
    const { versions } = await collectVersions(query, this.#reading());
    return versions.flatMap(({ version, unverified }) => (unverified === null ? [version.id] : []));
  }

  /** Whether the bytes are the object's. */
  async verify(name: string, bytes: string): Promise<boolean> {
    const { manifest, source } = await this.#open(name);
    const loadChunk = (hash: ResolvedObject["version"]["id"]) => source.get({ hash, sizeBytes: null });
    const blocks = (async function* () {
      yield Buffer.from(bytes);
    })();
    return (await findDifference(manifest, blocks, { hasher: nodeHasher, loadChunk })) === null;
  }

  publish(name: string, bytes: string, signer: StatementSigner, author: string): Promise<PublishResult> {
    const [edge] = this.#servers;
    if (edge === undefined) throw new RangeError("a client has servers");
    const blocks = (async function* () {
      yield Buffer.from(bytes);
    })();
    const { domain } = this.#options;
    const request = {
      domain,
      name: parseName(name),
      author,
      blocks,
      sizeBytes: bytes.length,
      redundancy: { replicas: 2 },
    };
    return publish(
      { ...request, contentType: "text/plain" },
      {
        host: nodeHost,
        edge,
        servers: this.#servers,
        domainKeys: this.#domainKeys,
        signer,
        seen: this.#seen,
      },
    );
  }

  async #open(name: string): Promise<ResolvedObject & { source: ChunkSource }> {
    const options = this.#reading();
    const request = { domain: this.#options.domain, nameHash: this.#nameHash(name) };
    return { ...(await resolveObject(request, options)), source: options.source };
  }

  /** A source of its own for each operation, as each command has. */
  #reading() {
    const servers = this.#servers;
    const fetchChunk = createChunkFetch(nodeHost.fetch, this.#options.chunkLimits);
    const source = new ChunkSource({ servers, hasher: nodeHasher, fetchChunk });
    return { servers, source, domainKeys: this.#domainKeys, now: this.#now, seen: this.#seen };
  }

  #nameHash(name: string) {
    return nameHashOf(this.#options.domain, parseName(name));
  }
}

async function bytesOf(manifest: Manifest, source: ChunkSource): Promise<string> {
  const blocks: Buffer[] = [];
  const sink = { write: async (bytes: Uint8Array) => void blocks.push(Buffer.from(bytes)) };
  await download(manifest, sink, { source, hasher: nodeHasher });
  return Buffer.concat(blocks).toString();
}

/** What `work` gives, or the code that it ends with. Other errors are defects. */
export async function outcomeOf(work: Promise<unknown>): Promise<Outcome> {
  try {
    return { value: await work };
  } catch (error) {
    if (isHoldfastError(error)) return { code: error.code };
    throw error;
  }
}
