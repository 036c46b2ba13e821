// Brings chunks onto home nodes: asks the edge for a plan, sends each chunk to the nodes it names, and plans again
// around those that fail, until every chunk is held as often as asked. Keeps no chunk beyond the call that sends it.

import pLimit from "p-limit";
import { BATCH_BYTES_MAX, BATCH_CHUNKS_MAX } from "../chunk-batch.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash, NodeId } from "../hash.ts";
import type { ChunkRef } from "../manifest.ts";
import { CHUNKS_PER_UPLOAD_MAX } from "../upload.ts";
import { AVOIDED_NODES_MAX, type PlanAnswer } from "../wire/chunks.ts";
import type { Contact } from "../wire/nodes.ts";
import { formatSigned, RECEIPTS_PER_POST_MAX, type SignedJson } from "../wire/signed.ts";
import { Reach, type Route, routesTo } from "./holders.ts";
import type { ReceiptKeeper } from "./receipt-keeper.ts";
import type { Server } from "./server.ts";
import type { UploadSession } from "./upload-session.ts";

/** Plans made for one window of chunks, the first included. */
export const PLAN_ROUNDS_MAX = 5;
export const UPLOADS_AT_ONCE = 8;
/** A kept-alive connection may be closed just as it is used: a lost connection is tried once more. */
export const PUT_ATTEMPTS_MAX = 2;

/** Of so many chunks, the last that were stored, an uploader remembers the holders: the Manifests of a batch are among them. */
export const HOLDERS_REMEMBERED_MAX = 2048;

/** Chunks up to this size are sent in batches: by themselves, a request would cost more than their bytes. */
export const SMALL_CHUNK_BYTES_MAX = 128 * 1024;

/** The chunks of a stripe by position, as far as they are known: it grows while its chunks are on their way. */
export type StripePositions = Hash[];

export interface UploadChunk extends ChunkRef {
  bytes: Uint8Array<ArrayBuffer>;
  /** Left out where the chunk stands for itself, in as many copies as the uploader makes. */
  stripe?: StripePositions;
}

export type UploadEvent =
  /** A chunk of `sizeBytes` is held as often as asked; `sent` counts those that took it from us. */
  | { type: "stored"; hash: Hash; sizeBytes: number; sent: number }
  | { type: "node-failed"; node: NodeId; hash: Hash; error: HoldfastError };

export interface UploaderOptions {
  server: Server;
  session: UploadSession;
  /** How many failure domains keep a chunk that is in no stripe. */
  copies: number;
  keeper?: ReceiptKeeper | undefined;
  /**
   * Whether the edge gets receipts as soon as it is asked for anything, so that little is sent again after a crash. Else they
   * wait for the POST /names: it spares an index that takes in many small objects a write for each plan.
   */
  handsOverEarly: boolean;
  onEvent?: ((event: UploadEvent) => void) | undefined;
}

/** A chunk during its window: the copies that are certain so far, and the nodes of the last plan that still lack it. */
interface Progress {
  chunk: UploadChunk;
  copies: Set<NodeId>;
  lacking: Set<NodeId>;
  sentTo: Contact[];
  reported: boolean;
}

export class Uploader {
  readonly #options: UploaderOptions;
  readonly #avoid = new Map<NodeId, HoldfastError>();
  readonly #reach = new Reach();
  readonly #limit = pLimit(UPLOADS_AT_ONCE);
  /** Those that were stored last, at the end. */
  readonly #holders = new Map<Hash, Contact[]>();
  #receipts: SignedJson[] = [];

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  /**
   * Uploads a window of distinct chunks, at most CHUNKS_PER_PLAN_MAX; windows may overlap in time. Throws `too-few-nodes`
   * where they cannot all be held as often as asked.
   */
  async store(chunks: readonly UploadChunk[]): Promise<void> {
    let missing: Progress[] = chunks.map((chunk) => ({
      chunk,
      copies: new Set(),
      lacking: new Set(),
      sentTo: [],
      reported: false,
    }));
    for (let round = 0; round < PLAN_ROUNDS_MAX && missing.length > 0; round++) {
      const failuresBefore = this.#avoid.size;
      const plan = await this.#plan(missing);
      await this.#sendAll(plan, missing);
      missing = missing.filter((progress) => !this.#isStored(progress));
      // The same question would get the same answer.
      if (this.#avoid.size === failuresBefore) break;
    }
    const [first] = missing;
    if (first !== undefined) throw this.#tooFewNodes(first);
  }

  /** Who holds a chunk that was stored a moment ago, if it is remembered, and every one of them took it from us. */
  holdersOf(hash: Hash): readonly Contact[] | null {
    return this.#holders.get(hash) ?? null;
  }

  /** Hands over what an earlier run left. What the edge refuses is dropped: those chunks are sent again. */
  async handOverEarlier(): Promise<void> {
    const { keeper } = this.#options;
    this.#receipts = (await keeper?.earlier()) ?? [];
    try {
      await this.flushReceipts();
    } catch (error) {
      if (!isHoldfastError(error, "receipt-invalid")) throw error;
      await keeper?.release(this.#receipts.splice(0));
    }
  }

  /**
   * The receipts that the edge may not have yet, for a POST /names. Hands some over first where they are more than that
   * may carry. Tell `noteHandedOver` when it is answered: requests meanwhile carry them as well, so that none relies on another.
   */
  async pendingReceipts(): Promise<SignedJson[]> {
    while (this.#receipts.length > RECEIPTS_PER_POST_MAX) await this.#plan([]);
    return [...this.#receipts];
  }

  /** The edge has these receipts. */
  async noteHandedOver(receipts: readonly SignedJson[]): Promise<void> {
    const handedOver = new Set(receipts);
    this.#receipts = this.#receipts.filter((receipt) => !handedOver.has(receipt));
    await this.#options.keeper?.release(receipts);
  }

  /** Hands over every receipt, where no POST /names is to follow. */
  async flushReceipts(): Promise<void> {
    while (this.#receipts.length > 0) await this.#plan([]);
  }

  async #plan(missing: Progress[]): Promise<PlanAnswer> {
    const { server, session, copies: replicas } = this.#options;
    const stripes = new Set(
      missing.flatMap(({ chunk: { stripe } }) => (stripe === undefined ? [] : [stripe])),
    );
    const receipts = this.#receiptsFor(missing);
    const answer = await server.plan({
      grant: formatSigned(session.grant),
      replicas,
      chunks: missing.map(({ chunk: { hash, size } }) => ({ hash, size })),
      ...(stripes.size === 0 ? {} : { stripes: [...stripes] }),
      avoid: [...this.#avoid.keys()].slice(-AVOIDED_NODES_MAX),
      receipts,
    });
    await this.noteHandedOver(receipts);
    return answer;
  }

  /** With a plan for nothing they are all that it is for. */
  #receiptsFor(missing: Progress[]): SignedJson[] {
    const wait =
      !this.#options.handsOverEarly && missing.length > 0 && this.#receipts.length < RECEIPTS_PER_POST_MAX;
    return wait ? [] : this.#receipts.slice(0, RECEIPTS_PER_POST_MAX);
  }

  async #sendAll(plan: PlanAnswer, missing: Progress[]): Promise<void> {
    const byHash = new Map(missing.map((progress) => [progress.chunk.hash, progress]));
    const contacts = new Map(plan.nodes.map((contact) => [contact.id, contact]));
    const byNode = new Map<Contact, Progress[]>();
    for (const { hash, held, send } of plan.chunks) {
      const progress = byHash.get(hash);
      if (progress === undefined) continue;
      for (const id of held) progress.copies.add(id);
      progress.lacking = new Set(send.filter((id) => !progress.copies.has(id)));
      this.#report(progress);
      for (const contact of send.flatMap((id) => contacts.get(id) ?? [])) {
        byNode.set(contact, [...(byNode.get(contact) ?? []), progress]);
      }
    }
    await Promise.all([...byNode].map(([node, its]) => this.#sendTo(node, its)));
  }

  /** One upload statement for every CHUNKS_PER_UPLOAD_MAX chunks. */
  async #sendTo(node: Contact, its: Progress[]): Promise<void> {
    await Promise.all(inSlices(its, CHUNKS_PER_UPLOAD_MAX).map((slice) => this.#sendSlice(node, slice)));
  }

  async #sendSlice(node: Contact, its: Progress[]): Promise<void> {
    const headers = await this.#options.session.headersFor(
      node,
      its.map(({ chunk }) => chunk.hash),
    );
    const parcels = parcelsOf(its);
    await Promise.all(parcels.map((parcel) => this.#limit(() => this.#send(node, parcel, headers))));
  }

  async #send(node: Contact, parcel: Progress[], headers: Record<string, string>): Promise<void> {
    const wanted = parcel.filter(({ copies }) => !copies.has(node.id));
    const chunks = wanted.map(({ chunk }) => chunk);
    const [first] = chunks;
    if (this.#avoid.has(node.id) || first === undefined) return;
    try {
      const receipt = await this.#put(node, chunks, headers);
      await this.#options.keeper?.keep(receipt);
      this.#receipts.push(receipt);
      for (const progress of wanted) this.#noteSent(node, progress);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      // Several sends to a node that vanished fail together: one of them is news.
      const isNews = !this.#avoid.has(node.id);
      this.#avoid.set(node.id, error);
      if (isNews) this.#options.onEvent?.({ type: "node-failed", node: node.id, hash: first.hash, error });
    }
  }

  #noteSent(node: Contact, progress: Progress): void {
    progress.copies.add(node.id);
    progress.lacking.delete(node.id);
    progress.sentTo.push(node);
    this.#report(progress);
  }

  /** Sends chunks by the node's own URL where that is reachable, else by the relay. */
  async #put(
    node: Contact,
    chunks: readonly UploadChunk[],
    headers: Record<string, string>,
  ): Promise<SignedJson> {
    const { server } = this.#options;
    let failure: unknown = null;
    for (const route of this.#reach.order(routesTo(node, server))) {
      try {
        return await this.#putBy(route, node, chunks, headers);
      } catch (error) {
        if (!isHoldfastError(error, "unreachable", "timeout")) throw error;
        this.#reach.failed(route.url, error);
        failure ??= error;
      }
    }
    throw failure;
  }

  async #putBy(
    route: Route,
    node: Contact,
    chunks: readonly UploadChunk[],
    headers: Record<string, string>,
    attempt = 1,
  ): Promise<SignedJson> {
    try {
      return await this.#options.session.put(route.url, node, chunks, headers);
    } catch (error) {
      if (!isHoldfastError(error, "unreachable") || attempt === PUT_ATTEMPTS_MAX) throw error;
      return this.#putBy(route, node, chunks, headers, attempt + 1);
    }
  }

  // The edge asks for more copies than the number says where two of them would fail together.
  #isStored({ chunk, copies, lacking }: Progress): boolean {
    return lacking.size === 0 && copies.size >= this.#copiesOf(chunk);
  }

  #copiesOf({ hash, stripe }: UploadChunk): number {
    return stripe === undefined ? this.#options.copies : stripe.filter((other) => other === hash).length;
  }

  #report(progress: Progress): void {
    const { hash, size } = progress.chunk;
    if (progress.reported || !this.#isStored(progress)) return;
    progress.reported = true;
    if (progress.sentTo.length === progress.copies.size) this.#remember(hash, progress.sentTo);
    this.#options.onEvent?.({ type: "stored", hash, sizeBytes: size, sent: progress.sentTo.length });
  }

  #remember(hash: Hash, holders: Contact[]): void {
    this.#holders.set(hash, holders);
    const [oldest] = this.#holders.keys();
    if (this.#holders.size > HOLDERS_REMEMBERED_MAX && oldest !== undefined) this.#holders.delete(oldest);
  }

  #tooFewNodes({ chunk, copies }: Progress): HoldfastError {
    const { session } = this.#options;
    const failed = [...this.#avoid].at(-1);
    const why = failed === undefined ? "" : `; the last to fail was node ${failed[0]}: ${failed[1].message}`;
    const beside =
      chunk.stripe === undefined ? "" : `, apart from the ${chunk.stripe.length - 1} others of its stripe`;
    return new HoldfastError(
      "too-few-nodes",
      `only ${copies.size} of ${this.#copiesOf(chunk)} nodes keep chunk ${chunk.hash} of ${session.domain}${beside}${why}. ` +
        "More home nodes must accept the domain and have room, or less redundancy be asked for",
      { cause: failed?.[1] },
    );
  }
}

function inSlices<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

/** Small chunks together, as many as a batch takes; the others one by one. */
function parcelsOf(its: readonly Progress[]): Progress[][] {
  const isSmall = ({ chunk }: Progress) => chunk.size <= SMALL_CHUNK_BYTES_MAX;
  const parcels = its.filter((progress) => !isSmall(progress)).map((progress) => [progress]);
  let [batch, bytes]: [Progress[], number] = [[], 0];
  for (const progress of its.filter(isSmall)) {
    if (bytes + progress.chunk.size > BATCH_BYTES_MAX || batch.length === BATCH_CHUNKS_MAX) {
      parcels.push(batch);
      [batch, bytes] = [[], 0];
    }
    batch.push(progress);
    bytes += progress.chunk.size;
  }
  return batch.length === 0 ? parcels : [...parcels, batch];
}
