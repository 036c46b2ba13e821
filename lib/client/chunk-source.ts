// Chunks by Content Hash: asks servers who holds them, fetches from one holder after another, and lets no byte out
// that does not have the declared length and hash. A holder that errs, stalls, truncates, extends or flips is dropped
// for the chunk and ranked last for others; a server's own /chunk is the last resort.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash, Hasher, NodeId } from "../hash.ts";
import { CHUNKS_PER_PLAN_MAX, type LocateAnswer } from "../wire/chunks.ts";
import type { FetchChunk, WantedChunk } from "./chunk-fetch.ts";
import { HOLDERS_TRIED_MAX, type Holder, mergeRoutes, type Route, routesTo, Standing } from "./holders.ts";
import type { MoreHolders } from "./overlay.ts";
import type { Server } from "./server.ts";

/** Chunks that one locate request asks about. */
export const LOCATE_BATCH = CHUNKS_PER_PLAN_MAX;

export interface HolderFailure {
  hash: Hash;
  url: string;
  /** Null where a server was asked, which holds nothing itself. */
  node: NodeId | null;
  error: HoldfastError;
}

export interface ChunkSourceOptions {
  servers: readonly Server[];
  hasher: Hasher;
  fetchChunk: FetchChunk;
  /** Finds holders that the servers do not know of: in the overlay. */
  holdersOf?: (hash: Hash) => MoreHolders;
  onHolderFailed?: (failure: HolderFailure) => void;
}

/** A chunk's holders as far as servers have told, and the answers still awaited. */
interface Located {
  holders: Holder[];
  answers: Promise<unknown>;
}

/** Who is asked: a holder, or a server that may refer to one. A request has begun: whoever gets it tells its end. */
interface Candidate extends Omit<Route, "node"> {
  node: NodeId | null;
  redirectsMax: 0 | 1;
}

interface Failure extends HolderFailure {
  candidate: Candidate;
}

export class ChunkSource {
  readonly #options: ChunkSourceOptions;
  readonly #located = new Map<Hash, Located>();
  readonly #standing = new Standing();

  constructor(options: ChunkSourceOptions) {
    this.#options = options;
  }

  /** Asks all servers who holds `hashes` (at most LOCATE_BATCH); returns as soon as one has answered. */
  async locate(hashes: readonly Hash[]): Promise<void> {
    const unknown = [...new Set(hashes)].filter((hash) => !this.#located.has(hash));
    if (unknown.length === 0) return;
    const located = new Map<Hash, Holder[]>(unknown.map((hash) => [hash, []]));
    const asked = this.#options.servers.map((server) => this.#ask(server, located));
    const answers = Promise.allSettled(asked).then(() => this.#lookUp(located));
    for (const [hash, holders] of located) this.#located.set(hash, { holders, answers });
    await Promise.race([answers, ...asked.map(settleOnSuccess)]);
  }

  /** The holders of a chunk that can be reached directly, as servers of the protocol. */
  async directUrls(hash: Hash): Promise<string[]> {
    await this.locate([hash]);
    const holders = this.#located.get(hash)?.holders ?? [];
    return holders.flatMap(({ routes }) => routes.flatMap(({ url, isRelay }) => (isRelay ? [] : [url])));
  }

  /** The chunk's verified bytes. Throws `no-holder` when everyone was asked. */
  async get(wanted: WantedChunk, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    await this.locate([wanted.hash]);
    const located = this.#located.get(wanted.hash) ?? { holders: [], answers: Promise.resolve() };
    try {
      return await this.#getFrom(located, wanted, signal);
    } finally {
      this.#located.delete(wanted.hash);
    }
  }

  async #getFrom(
    located: Located,
    wanted: WantedChunk,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const failures: Failure[] = [];
    for await (const candidate of this.#candidates(located, wanted, failures)) {
      const bytes = await this.#attempt(candidate, wanted, signal, failures);
      if (bytes !== null) return bytes;
    }
    throw noHolder(wanted.hash, failures);
  }

  /** Holders, then the servers themselves, then once more whoever may only have had a bad moment. */
  async *#candidates(
    located: Located,
    wanted: WantedChunk,
    failures: readonly Failure[],
  ): AsyncGenerator<Candidate> {
    for await (const route of this.#waysToHolders(located, wanted)) yield { ...route, redirectsMax: 0 };
    for (const { url } of this.#options.servers)
      yield this.#begun({ url, isRelay: true, node: null, redirectsMax: 1 }, wanted);
    const transient = failures.filter(({ error }) => isHoldfastError(error, "unreachable", "timeout"));
    for (const { candidate } of transient) yield this.#begun(candidate, wanted);
  }

  #begun(candidate: Candidate, wanted: WantedChunk): Candidate {
    this.#standing.begin(candidate, wanted);
    return candidate;
  }

  /**
   * Those whom servers know, waiting for late servers only at the end; then those whom the overlay finds: whoever the servers
   * invented has used up their part, not the overlay's.
   */
  async *#waysToHolders(located: Located, wanted: WantedChunk): AsyncGenerator<Route> {
    const tried = new Set<string>();
    const known = { left: HOLDERS_TRIED_MAX };
    yield* this.#waysTo(located.holders, wanted, tried, known);
    await located.answers;
    yield* this.#waysTo(located.holders, wanted, tried, known);
    const found = this.#options.holdersOf?.(wanted.hash);
    for (let count = 0; found !== undefined; ) {
      const holders = await found.more(count);
      if (holders.length === 0) return;
      count += holders.length;
      yield* this.#waysTo(holders, wanted, tried, { left: HOLDERS_TRIED_MAX });
    }
  }

  /** Ways to these in the order of their standing, which is judged anew before each; as many as are `left`. */
  async *#waysTo(
    holders: readonly Holder[],
    wanted: WantedChunk,
    tried: Set<string>,
    budget: { left: number },
  ): AsyncGenerator<Route> {
    while (budget.left > 0) {
      const next = await this.#standing.take(wanted, holders, tried);
      if (next === null) return;
      tried.add(next.url);
      budget.left -= 1;
      yield next;
    }
  }

  async #attempt(
    candidate: Candidate,
    wanted: WantedChunk,
    signal: AbortSignal | undefined,
    failures: Failure[],
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const { fetchChunk, hasher } = this.#options;
    const { redirectsMax, isRelay: isRelayed } = candidate;
    const url = `${candidate.url}/chunk/${wanted.hash}`;
    try {
      const bytes = await fetchChunk(url, wanted, { redirectsMax, isRelayed, signal });
      await checkChunk(bytes, wanted, hasher, url);
      return bytes;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isHoldfastError(error)) throw error;
      this.#standing.failed(candidate.url, error);
      const failure = { hash: wanted.hash, url, node: candidate.node, error, candidate };
      failures.push(failure);
      this.#options.onHolderFailed?.(failure);
      return null;
    } finally {
      this.#standing.end(candidate, wanted);
    }
  }

  /** Of what no server knows a holder, the overlay may. */
  async #lookUp(located: Map<Hash, Holder[]>): Promise<void> {
    const unknown = [...located].filter(([, holders]) => holders.length === 0);
    await Promise.all(unknown.map(([hash, holders]) => this.#addFound(hash, holders)));
  }

  async #addFound(hash: Hash, known: Holder[]): Promise<void> {
    const found = (await this.#options.holdersOf?.(hash).more(0)) ?? [];
    const told = new Map(found.map((holder) => [holder.id, holder]));
    addHolders(known, [...told.keys()], told);
  }

  async #ask(server: Server, located: Map<Hash, Holder[]>): Promise<void> {
    const answer = await server.locate([...located.keys()]);
    const resting = new Set(answer.resting);
    const told = new Map(
      answer.nodes.map((contact): [NodeId, Holder] => [
        contact.id,
        { id: contact.id, routes: routesTo(contact, server), isResting: resting.has(contact.id) },
      ]),
    );
    for (const { hash, holders } of answer.chunks) {
      const known = located.get(hash);
      if (known !== undefined) addHolders(known, holders, told);
    }
  }
}

function addHolders(
  known: Holder[],
  ids: LocateAnswer["chunks"][number]["holders"],
  told: Map<NodeId, Holder>,
): void {
  for (const id of ids) {
    const { routes, isResting } = told.get(id) ?? { routes: [], isResting: false };
    const holder = known.find((other) => other.id === id);
    if (holder === undefined) known.push({ id, routes, isResting });
    else {
      holder.routes = mergeRoutes(holder.routes, routes);
      holder.isResting &&= isResting;
    }
  }
}

async function checkChunk(
  bytes: Uint8Array,
  wanted: WantedChunk,
  hasher: Hasher,
  url: string,
): Promise<void> {
  if (wanted.sizeBytes !== null && bytes.length !== wanted.sizeBytes) {
    throw new HoldfastError(
      "length-mismatch",
      `${url} sent ${bytes.length} bytes of a chunk that has ${wanted.sizeBytes}`,
    );
  }
  if ((await hasher.digest(bytes)) !== wanted.hash) {
    throw new HoldfastError("content-hash-mismatch", `${url} sent bytes that do not have the chunk's hash`);
  }
}

/** Resolves when `asked` does; where it fails, never: the race is then won by another, or by all having settled. */
function settleOnSuccess(asked: Promise<void>): Promise<void> {
  return new Promise((resolve) => asked.then(resolve, () => undefined));
}

function noHolder(hash: Hash, failures: readonly Failure[]): HoldfastError {
  const last = failures.at(-1);
  const reason = last === undefined ? "nobody was there to ask" : `the last of them: ${last.error.message}`;
  return new HoldfastError(
    "no-holder",
    `nobody gave chunk ${hash} in ${failures.length} attempts; ${reason}. Its holders may be offline: try later, or ask another server`,
    { cause: failures.map((failure) => failure.error) },
  );
}
