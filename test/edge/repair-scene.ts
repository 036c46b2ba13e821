// A shard with one chunk, holders that are only said to hold it, and real links of nodes that take copies: what sweep and
// repair have to do with. Each scene has a domain of its own, so that no other scene's nodes are chosen.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { randomBytes } from "@noble/hashes/utils.js";
import type { Reference } from "../../durable-objects/chunks-table.ts";
import { IndexClient } from "../../durable-objects/index-client.ts";
import type { RepairCounts } from "../../durable-objects/repairs-table.ts";
import type { ShardReport } from "../../durable-objects/reports-table.ts";
import { base64 } from "../../lib/base64.ts";
import { parseJson } from "../../lib/canonical-json.ts";
import { type PullAnswer, type PullOrder, parsePullOrder } from "../../lib/durability/pull.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { signStatement } from "../../lib/statement.ts";
import type { AcceptedRequest, Answer } from "../../lib/tunnel/acceptor.ts";
import { receiptKind } from "../../lib/upload.ts";
import { NAMES_BODY_MAX, type PostedJson, parseNamesRequest } from "../../lib/wire/names.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { bodyOf, TestNode } from "./test-node.ts";
import { memberReport, reference } from "./test-rows.ts";

export const DAY_MS = 24 * 3600 * 1000;
let scenes = 0;

/** A node with a link that answers reads and orders; `orders` are those that came. */
export interface Taker {
  node: TestNode;
  orders: PullOrder[];
  /** Set: what it answers in place of copying. */
  say: ((order: PullOrder) => Promise<PullAnswer | "refuses">) | null;
  /** The statements that it was handed; `isBusy`: it takes none now. */
  posted: PostedJson[];
  isBusy: boolean;
  /** What it gives to whoever reads the chunk from it; null: nothing. */
  bytes: Uint8Array | null;
  /** Other chunks that it gives, by their paths. */
  others: Map<string, Uint8Array>;
}

export class RepairScene {
  readonly domain: Domain = parseDomain(`repair-${++scenes}.test`);
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly chunk: Hash;

  constructor(bytes = new Uint8Array(randomBytes(1000))) {
    this.bytes = bytes;
    this.chunk = hashBytes(bytes);
  }

  get shard() {
    return env.PARTITION_SHARD.getByName(shardName(leafPrefix(this.chunk, 4)));
  }

  /** Somebody needs the chunk on so many failure domains. */
  async need(copies: number, rest: Partial<Reference> = {}): Promise<void> {
    const { chunk, domain } = this;
    const references = [reference({ chunk, domain, manifest: chunk, copies, ...rest })];
    await this.shard.write({ held: [], references, statements: [] });
  }

  /** A node that was here, as its members' rows say; since when it holds the chunk is now. */
  async holder(changes: Parameters<typeof memberReport>[1] = {}): Promise<NodeId> {
    const { id, signer } = await TestNode.create();
    const key = formatPublicKeyText(signer.key);
    await env.PARTITION_SHARD.getByName(shardName("")).putMember(
      memberReport(id, { key, sinceMs: Date.now(), domains: [this.domain], ...changes }),
    );
    await this.hold(id);
    return id;
  }

  async hold(node: NodeId): Promise<void> {
    const held = [{ chunk: this.chunk, node, sizeBytes: this.bytes.length }];
    await this.shard.write({ held, references: [], statements: [] });
  }

  /** A node that is linked and pledged to the scene's domain. */
  async taker(): Promise<Taker> {
    const pledge = { bytes: 1e9, uploadRate: null, downloadRate: null, domains: [this.domain] };
    const node = await TestNode.registered({ pledge, freeBytes: 1e9 });
    const said = { orders: [], posted: [], isBusy: false, say: null };
    const taker: Taker = { node, ...said, bytes: null, others: new Map() };
    node.answer((request) => this.#answer(taker, request));
    // Forgets who there was to choose from.
    await new IndexClient(env).checkLinks([]);
    return taker;
  }

  /** A linked node that holds the chunk, and gives it. */
  async source(): Promise<Taker> {
    const source = await this.taker();
    source.bytes = this.bytes;
    await this.hold(source.node.id);
    return source;
  }

  /** Puts another chunk on a node. */
  async give({ node, others }: Taker, bytes: Uint8Array): Promise<Hash> {
    const hash = hashBytes(bytes);
    others.set(`/chunk/${hash}`, bytes);
    const held = [{ chunk: hash, node: node.id, sizeBytes: bytes.length }];
    const shard = env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));
    await shard.write({ held, references: [], statements: [] });
    return hash;
  }

  async holders(): Promise<NodeId[]> {
    return (await this.shard.locate([this.chunk]))[0]?.holders ?? [];
  }

  /** Has one duty done now, whenever it would be due. */
  run(...duties: ("sweep" | "repair")[]): Promise<void> {
    return runInDurableObject(this.shard, async (shard, { storage }) => {
      for (const duty of duties) {
        storage.sql.exec("DELETE FROM duties");
        storage.sql.exec("UPDATE repairs SET due = 1");
        storage.sql.exec("INSERT INTO duties (name, due) VALUES (?, 1)", duty);
        await shard.alarm();
      }
    });
  }

  /** The row of the chunk that waits for repair. */
  waiting(): Promise<Record<string, SqlStorageValue> | null> {
    return runInDurableObject(
      this.shard,
      (_, { storage }) =>
        storage.sql.exec("SELECT * FROM repairs WHERE chunk = ?", this.chunk).toArray()[0] ?? null,
    );
  }

  /** What the chunk's shard has reported of its repairs; null before its first report. */
  reported(): Promise<RepairCounts | null> {
    const root = env.PARTITION_SHARD.getByName(shardName(""));
    return runInDurableObject(root, (_, { storage }) => {
      const [row] = storage.sql
        .exec<{ report: string }>("SELECT report FROM reports WHERE prefix = ?", leafPrefix(this.chunk, 4))
        .toArray();
      return row === undefined ? null : (JSON.parse(row.report) as ShardReport).repairs;
    });
  }

  /** What a node answers that has copied the chunk. */
  async copied({ node }: Taker, order: PullOrder, failed: PullAnswer["failed"] = []): Promise<PullAnswer> {
    const chunks = [{ hash: order.chunk, size: this.bytes.length }];
    const time = new Date().toISOString();
    const body = { type: receiptKind.type, node: node.id, domain: order.domain, chunks, time };
    return { receipt: formatSigned(await signStatement(receiptKind, body, node.signer)), failed };
  }

  async #answer(taker: Taker, { method, path, body }: AcceptedRequest): Promise<Answer> {
    if (method === "GET" && path === `/chunk/${this.chunk}` && taker.bytes !== null)
      return { status: 200, headers: [], body: bodyOf(taker.bytes) };
    const other = taker.others.get(path);
    if (other !== undefined) return { status: 200, headers: [], body: bodyOf(other) };
    if (method === "POST" && path === "/names") return takeNames(taker, await bytesIn(body));
    if (method !== "POST" || path !== "/pull") return { status: 404, headers: [], body: null };
    const order = parsePullOrder(parseJson(await bytesIn(body), 65_536));
    taker.orders.push(order);
    const said = await (taker.say ?? ((asked) => this.copied(taker, asked)))(order);
    if (said === "refuses") {
      const problem = { code: "rate-limited", detail: "busy" };
      return { status: 429, headers: [["content-type", "application/problem+json"]], body: json(problem) };
    }
    return { status: 200, headers: JSON_TYPE, body: json(said) };
  }
}

const JSON_TYPE: [string, string][] = [["content-type", "application/json"]];

function takeNames(taker: Taker, body: Uint8Array): Answer {
  if (taker.isBusy)
    return { status: 503, headers: JSON_TYPE, body: json({ code: "unreachable", detail: "busy" }) };
  const { statements } = parseNamesRequest(parseJson(body, NAMES_BODY_MAX));
  taker.posted.push(...statements);
  const results = statements.map((posted) => {
    const { statement } = "version" in posted ? posted.version : posted.removal;
    return { id: hashBytes(base64.decode(statement)), status: "accepted", witnesses: [] };
  });
  return { status: 200, headers: JSON_TYPE, body: json({ results }) };
}

function json(value: unknown): Answer["body"] {
  return bodyOf(new TextEncoder().encode(JSON.stringify(value)));
}

async function bytesIn(body: AcceptedRequest["body"]): Promise<Uint8Array> {
  return new Uint8Array(await new Response(body).arrayBuffer());
}
