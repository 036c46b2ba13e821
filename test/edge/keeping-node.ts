// A node that keeps chunks and statements and says so through its tunnel, as a real one does; or as no real one would, where a
// test says so. And the edge's questions, asked when the test says.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { base64 } from "../../lib/base64.ts";
import { type Hash, hashBytes, partitionOf } from "../../lib/hash.ts";
import {
  digestInventory,
  digestPartitions,
  type InventoryDigests,
  LISTED_CHUNKS_MAX,
  LISTED_STATEMENTS_MAX,
} from "../../lib/inventory-digests.ts";
import type { AcceptedRequest, Answer } from "../../lib/tunnel/acceptor.ts";
import type { ListedJson } from "../../lib/wire/signed.ts";
import { bodyOf, TestNode } from "./test-node.ts";

/** What a chunk has whose bytes do not matter. */
const NO_BYTES = new Uint8Array(1000);
const ROUNDS_MAX = 40;
/** The next step of a round comes sooner, the next round later. */
const NEXT_ROUND_MS = 5_000;
const NOT_FOUND: Answer = {
  status: 404,
  headers: [["content-type", "application/problem+json"]],
  body: null,
};

export interface KeptStatement {
  id: Hash;
  nameHash: Hash;
  listed: ListedJson;
}

export class KeepingNode {
  readonly held = new Map<Hash, Uint8Array>();
  readonly statements = new Map<Hash, KeptStatement>();
  readonly asked: string[] = [];
  /** Bytes of JSON that it has sent. */
  sent = 0;
  node: TestNode;
  /** What it says in place of the truth; null: nothing; undefined: the truth. */
  lie: (path: string) => unknown = () => undefined;

  constructor(node: TestNode) {
    this.node = node;
  }

  static async create(hashes: Iterable<Hash> = []): Promise<KeepingNode> {
    const keeping = new KeepingNode(await TestNode.create());
    for (const hash of hashes) keeping.held.set(hash, NO_BYTES);
    await keeping.join();
    return keeping;
  }

  /** Registers, and answers what the edge asks then. */
  async join(): Promise<void> {
    this.node.answer((request) => this.#answer(request));
    await this.node.join({ pledge: { bytes: 1e9, uploadRate: null, downloadRate: null, domains: "all" } });
  }

  get id() {
    return this.node.id;
  }

  get link() {
    return env.NODE_LINK.getByName(this.node.id);
  }

  hold(...chunks: Uint8Array[]): void {
    for (const bytes of chunks) this.held.set(hashBytes(bytes), bytes);
  }

  keep(...statements: KeptStatement[]): void {
    for (const statement of statements) this.statements.set(statement.id, statement);
  }

  /** Has the edge ask now what it would ask in a moment: one step. Returns when the next is due, milliseconds from now. */
  async step(): Promise<number> {
    await runInDurableObject(this.link, (_, { storage }) => {
      storage.sql.exec("INSERT OR REPLACE INTO duties (name, due) VALUES ('inventory', 1)");
      return storage.setAlarm(Date.now() + 60_000);
    });
    await runDurableObjectAlarm(this.link);
    return runInDurableObject(this.link, (_, { storage }) => {
      const [duty] = storage.sql
        .exec<{ due: number }>("SELECT due FROM duties WHERE name = 'inventory'")
        .toArray();
      return (duty?.due ?? Number.POSITIVE_INFINITY) - Date.now();
    });
  }

  /** A whole round. */
  async sync(): Promise<void> {
    for (let i = 0; i < ROUNDS_MAX; i++) if ((await this.step()) > NEXT_ROUND_MS) return;
    throw new Error("the round did not end");
  }

  async #answer({ path }: AcceptedRequest): Promise<Answer> {
    this.asked.push(path);
    const lie = await this.lie(path);
    const said = lie === undefined ? await this.#truth(path) : lie;
    if (said === null) return NOT_FOUND;
    if (said instanceof Uint8Array) return { status: 200, headers: [], body: bodyOf(said) };
    const bytes = new TextEncoder().encode(JSON.stringify(said));
    this.sent += bytes.length;
    return { status: 200, headers: [["content-type", "application/json"]], body: bodyOf(bytes) };
  }

  async #truth(path: string): Promise<unknown> {
    const [name = "", query = ""] = path.split("?");
    const value = query.split("=")[1] ?? "";
    const [first, second, third = ""] = name.slice(1).split("/");
    if (first === "chunk") return this.held.get(second as Hash) ?? null;
    if (first !== "inventory") return null;
    if (second === undefined) return said(await digestInventory(this.#inOrder()), this.held.size, value);
    if (second === "statement") return this.statements.get(third as Hash)?.listed ?? null;
    if (second !== "names") return this.#chunksOf(Number(second), value);
    if (third !== "") return this.#statementsOf(Number(third), value);
    const digests = digestPartitions((partition) => this.#idsIn(partition));
    return said(digests, this.statements.size, value);
  }

  async *#inOrder(): AsyncGenerator<{ hash: Hash }> {
    for (const hash of [...this.held.keys()].sort()) yield { hash };
  }

  #chunksOf(partition: number, after: string): unknown {
    const all = [...this.held].filter(([hash]) => partitionOf(hash) === partition && hash > after);
    const rest = all.map(([hash, { length }]) => ({ hash, size: length })).sort(byHash);
    const chunks = rest.slice(0, LISTED_CHUNKS_MAX);
    return { chunks, next: rest.length > chunks.length ? (chunks.at(-1)?.hash ?? null) : null };
  }

  #statementsOf(partition: number, after: string): unknown {
    const rest = this.#idsIn(partition).filter((id) => id > after);
    const ids = rest.slice(0, LISTED_STATEMENTS_MAX);
    return { ids, next: rest.length > ids.length ? (ids.at(-1) ?? null) : null };
  }

  #idsIn(partition: number): Hash[] {
    const its = [...this.statements.values()].filter(({ nameHash }) => partitionOf(nameHash) === partition);
    return its.map(({ id }) => id).sort();
  }
}

function said({ root, partitions }: InventoryDigests, count: number, known: string): unknown {
  return { root, partitions: known === root ? null : base64.encode(partitions), count };
}

function byHash(a: { hash: Hash }, b: { hash: Hash }): number {
  return a.hash < b.hash ? -1 : 1;
}
