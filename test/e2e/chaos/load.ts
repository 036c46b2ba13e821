// Publishers and readers at work while the network is harmed, through the real client library. What a publish
// acknowledges is written down; what a reader is given is compared with it. That a publish or a read fails is counted and
// allowed, as long as the network is being harmed; that a reader is given other bytes is not.

import { setTimeout as delay } from "node:timers/promises";
import { nodeHasher } from "../../../cli/node-host.ts";
import {
  chunkSourceOf,
  domainKeysOf,
  edgeOf,
  hostFor,
  type Settings,
  seenVersionsOf,
  serversOf,
  trustedEdgesOf,
} from "../../../cli/settings.ts";
import { download } from "../../../lib/client/download.ts";
import { publish } from "../../../lib/client/publish.ts";
import { resolveObject } from "../../../lib/client/resolve.ts";
import { isHoldfastError } from "../../../lib/error.ts";
import type { Redundancy } from "../../../lib/manifest.ts";
import { nameHashOf, type ObjectName, parseName } from "../../../lib/names.ts";
import type { StatementSigner } from "../../../lib/sshsig.ts";
import { SeededRandom } from "../../random.ts";
import { sha256 } from "../object-reads.ts";
import type { Publisher } from "../publisher.ts";
import type { Acknowledged, AcknowledgedList } from "./acknowledged.ts";

const SIZE_BYTES = { min: 1024, max: 4 * 1024 * 1024 };
/** Of the publishes, so many are a new Version of a name that there is. */
const AGAIN_SHARE = 0.2;
const READ_TIMEOUT_MS = 90_000;
/** After a failure there is a pause, so that an edge that is down is not asked a thousand times. */
const FAILED_PAUSE_MS = 1000;

export interface LoadOptions {
  publisher: Publisher;
  seed: string;
  redundancy: Redundancy;
  publishers: number;
  readers: number;
  /** Longest pause between two publishes of one publisher, and two reads of one reader. */
  pauseMs: number;
}

export interface LoadFigures {
  publishesFailed: number;
  reads: number;
  readsFailed: number;
  /** By code, why publishes and reads failed. */
  reasons: Record<string, number>;
  /** Reads that were given other bytes than were acknowledged, or told that there is no such object. */
  wrong: string[];
}

export class Load {
  readonly figures: LoadFigures = { publishesFailed: 0, reads: 0, readsFailed: 0, reasons: {}, wrong: [] };
  readonly #options: LoadOptions;
  readonly #list: AcknowledgedList;
  readonly #settings: Settings;
  readonly #signer: StatementSigner;
  readonly #names: ObjectName[] = [];
  /** Names that a publisher is at: two Versions at once would be a fork. */
  readonly #busy = new Set<ObjectName>();
  #running: Promise<void>[] = [];
  #isOver = false;

  private constructor(options: LoadOptions, list: AcknowledgedList, signer: StatementSigner) {
    const { network, folder } = options.publisher;
    this.#options = options;
    this.#list = list;
    this.#signer = signer;
    this.#settings = {
      edgeUrls: [network.edgeUrl],
      fromUrls: [],
      dohUrls: [network.dohUrl],
      key: null,
      author: null,
      delegation: null,
      seenFolder: `${folder}/seen`,
    };
  }

  static async create(options: LoadOptions, list: AcknowledgedList): Promise<Load> {
    return new Load(options, list, await options.publisher.signer());
  }

  start(): void {
    const { publishers, readers } = this.#options;
    const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
    this.#running = [
      ...numbers(publishers).map((i) => this.#repeat(`publisher ${i}`, (random) => this.#publish(random))),
      ...numbers(readers).map((i) => this.#repeat(`reader ${i}`, (random) => this.#read(random))),
    ];
  }

  /** Returns when what was begun has ended. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  /** Publishes one object, and throws where that fails. */
  async publishOne(random: SeededRandom): Promise<Acknowledged> {
    const name = this.#nextName(random);
    this.#busy.add(name);
    try {
      return await this.#send(name, random);
    } finally {
      this.#busy.delete(name);
    }
  }

  /** The digest of what `get` gives for the Version. */
  async get({ domain, name, version }: Acknowledged): Promise<string> {
    const settings = this.#settings;
    const servers = serversOf(settings);
    const source = chunkSourceOf(servers, () => undefined);
    const request = { domain, nameHash: nameHashOf(domain, name), versionId: version };
    const { manifest } = await resolveObject(request, {
      servers,
      source,
      domainKeys: domainKeysOf(settings),
      trustedEdges: trustedEdgesOf(settings),
      now: Date.now,
    });
    const digest = nodeHasher.start();
    await download(
      manifest,
      { write: async (bytes) => digest.update(bytes) },
      { source, hasher: nodeHasher },
    );
    return digest.digest();
  }

  async #repeat(role: string, work: (random: SeededRandom) => Promise<void>): Promise<void> {
    const random = new SeededRandom(this.#options.seed, role);
    while (!this.#isOver) {
      try {
        await work(random);
        await delay(random.next() * this.#options.pauseMs);
      } catch (error) {
        this.#count(error);
        await delay(FAILED_PAUSE_MS);
      }
    }
  }

  async #publish(random: SeededRandom): Promise<void> {
    try {
      await this.publishOne(random);
    } catch (error) {
      this.figures.publishesFailed += 1;
      throw error;
    }
  }

  async #send(name: ObjectName, random: SeededRandom): Promise<Acknowledged> {
    const { publisher, redundancy } = this.#options;
    const { domain, author } = publisher;
    const settings = this.#settings;
    const servers = serversOf(settings);
    const bytes = random.bytes(sizeFrom(random));
    const digest = sha256(bytes);
    const request = {
      ...{ domain, name, author, redundancy, contentType: "application/octet-stream" },
      blocks: blocksOf(bytes),
      sizeBytes: bytes.length,
    };
    const { version } = await publish(request, {
      host: hostFor(servers),
      edge: edgeOf(settings),
      servers,
      trustedEdges: trustedEdgesOf(settings),
      domainKeys: domainKeysOf(settings, "write"),
      signer: this.#signer,
      seen: seenVersionsOf(settings, {}),
    });
    const { manifest } = version.body;
    const entry = { domain, name, version: version.id, manifest, sizeBytes: bytes.length, sha256: digest };
    this.#list.add(entry);
    if (!this.#names.includes(name)) this.#names.push(name);
    return entry;
  }

  #nextName(random: SeededRandom): ObjectName {
    const free = this.#names.filter((name) => !this.#busy.has(name));
    const isAgain = random.next() < AGAIN_SHARE && free.length > 0;
    return isAgain ? random.pick(free) : parseName(`object-${Math.floor(random.next() * 2 ** 40)}`);
  }

  /** By turns as a browser reads, and as `get` does. */
  async #read(random: SeededRandom): Promise<void> {
    if (this.#list.all.length === 0) return;
    const entry = random.pick(this.#list.all);
    const way = random.next() < 0.5 ? "/obj" : "get";
    this.figures.reads += 1;
    try {
      const digest =
        way === "/obj" ? await readObj(this.#settings.edgeUrls[0] ?? "", entry) : await this.get(entry);
      if (digest !== entry.sha256) this.#noteWrong(entry, `${way} gave bytes with the digest ${digest}`);
    } catch (error) {
      this.figures.readsFailed += 1;
      if (isDenial(error)) this.#noteWrong(entry, `${way}: ${error.message}`);
      throw error;
    }
  }

  #noteWrong({ name, version }: Acknowledged, what: string): void {
    this.figures.wrong.push(`${name}?version=${version}: ${what}`);
  }

  #count(error: unknown): void {
    const reason = isHoldfastError(error) ? error.code : error instanceof Error ? error.name : String(error);
    this.figures.reasons[reason] = (this.figures.reasons[reason] ?? 0) + 1;
  }
}

class ReadError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.name = `status ${status}`;
    this.status = status;
  }
}

/** Not that it cannot be had now, but that there is no such thing. */
function isDenial(error: unknown): error is Error {
  if (error instanceof ReadError) return error.status === 404 || error.status === 410;
  return isHoldfastError(error, "not-found", "removed", "fork");
}

async function readObj(edgeUrl: string, { domain, name, version }: Acknowledged): Promise<string> {
  const signal = AbortSignal.timeout(READ_TIMEOUT_MS);
  const response = await fetch(`${edgeUrl}/obj/${domain}/${name}?version=${version}`, { signal });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status !== 200) throw new ReadError(response.status);
  return sha256(bytes);
}

async function* blocksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** As many small as large, by the logarithm of their size. */
function sizeFrom(random: SeededRandom): number {
  return Math.round(SIZE_BYTES.min * (SIZE_BYTES.max / SIZE_BYTES.min) ** random.next());
}
