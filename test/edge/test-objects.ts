// Objects of one relayed holder, put straight into the shards under test: what a publish leaves behind, without one.

import { env } from "cloudflare:workers";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { type ChunkRef, encodeManifest, type Striping } from "../../lib/manifest.ts";
import { type Domain, nameHashOf, type ObjectName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { signStatement } from "../../lib/statement.ts";
import {
  encodeTreeIndex,
  INDEX_CONTENT_TYPE,
  indexNameOf,
  type TreeEntry,
  type TreeRoot,
} from "../../lib/tree-index.ts";
import { versionKind } from "../../lib/version.ts";
import { bodyOf, TestNode } from "./test-node.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Stripes are hashed in the test's own thread: small ones. */
export const STRIPED_CHUNK_BYTES = 16 * 1024;

export interface TestObject {
  domain: Domain;
  name: ObjectName;
  bytes: Uint8Array<ArrayBuffer>;
  contentType?: string;
  /** The Version that this one follows. */
  previous?: { id: Hash; sequence: number } | null;
  time?: string;
  expires?: string;
  /** False: a Version that does not say its name. */
  isNamed?: boolean;
}

const shardOf = (hash: Hash) => env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));

/** Holds chunks, and counts how often it was asked for one. */
export class TestHolder {
  reads = 0;
  readonly #node: TestNode;
  readonly #chunks = new Map<string, Uint8Array<ArrayBuffer>>();

  private constructor(node: TestNode) {
    this.#node = node;
    node.answer(async ({ path }) => {
      if (path.startsWith("/chunk/")) this.reads += 1;
      const bytes = this.#chunks.get(path);
      return bytes === undefined
        ? { status: 404, headers: [], body: null }
        : { status: 200, headers: [], body: bodyOf(bytes) };
    });
  }

  get id(): NodeId {
    return this.#node.id;
  }

  static async create(): Promise<TestHolder> {
    return new TestHolder(await TestNode.registered());
  }

  /** Publishes an object whose chunks this node holds; returns its Version's id. */
  async publish(object: TestObject): Promise<Hash> {
    const chunks = [];
    for (let at = 0; at < object.bytes.length; at += CHUNK_BYTES)
      chunks.push(await this.hold(object.bytes.slice(at, at + CHUNK_BYTES)));
    const { contentType = "text/plain", bytes } = object;
    const head = { contentType, metadata: {}, redundancy: { replicas: 1 } };
    const manifest = encodeManifest({ ...head, size: bytes.length, digest: hashBytes(bytes) }, { chunks });
    return append(object, manifest);
  }

  async hold(bytes: Uint8Array<ArrayBuffer>): Promise<{ hash: Hash; size: number }> {
    const hash = hashBytes(bytes);
    this.#chunks.set(`/chunk/${hash}`, bytes);
    const held = [{ chunk: hash, node: this.#node.id, sizeBytes: bytes.length }];
    await shardOf(hash).write({ held, references: [], statements: [] });
    return { hash, size: bytes.length };
  }

  /** From now on every byte that this node gives is another. */
  spoil(): void {
    for (const [path, bytes] of this.#chunks)
      this.#chunks.set(
        path,
        bytes.map((byte) => byte ^ 1),
      );
  }

  /** From now on this node has nothing. */
  forget(): void {
    this.#chunks.clear();
  }

  /** The index of a tree with these entries. */
  publishIndex(root: TreeRoot, entries: readonly TreeEntry[], rest: Partial<TestObject> = {}): Promise<Hash> {
    return this.publish({
      ...{ domain: root.domain, name: indexNameOf(root), contentType: INDEX_CONTENT_TYPE },
      ...{ bytes: encodeTreeIndex(root, entries), ...rest },
    });
  }
}

/** Publishes an object in stripes; `holders` keep one position each of every stripe, in their order. */
export async function publishStriped(
  object: TestObject,
  redundancy: Striping,
  holders: readonly TestHolder[],
): Promise<Hash> {
  const { contentType = "text/plain", bytes } = object;
  const chunks: ChunkRef[] = [];
  const parity: ChunkRef[] = [];
  const encoder = new ParityEncoder(redundancy.parity, STRIPED_CHUNK_BYTES);
  const hold = (position: number, chunk: Uint8Array<ArrayBuffer>) => {
    const holder = holders[position];
    if (holder === undefined) throw new RangeError("a stripe has as many positions as there are holders");
    return holder.hold(chunk);
  };
  for (let at = 0; at < bytes.length; at += STRIPED_CHUNK_BYTES) {
    const chunk = bytes.slice(at, at + STRIPED_CHUNK_BYTES);
    const position = encoder.added;
    encoder.add(chunk);
    chunks.push(await hold(position, chunk));
    if (encoder.added < redundancy.data && at + STRIPED_CHUNK_BYTES < bytes.length) continue;
    const first = encoder.added;
    for (const [i, made] of encoder.finish().entries()) parity.push(await hold(first + i, made));
  }
  const head = { contentType, metadata: {}, redundancy, size: bytes.length, digest: hashBytes(bytes) };
  const manifest = encodeManifest(head, { chunks, parity });
  return append(object, manifest);
}

/** Appends a Version of the object to its name's shard; returns its id. */
export async function append(object: TestObject, manifestBytes: Uint8Array<ArrayBuffer>): Promise<Hash> {
  const { domain, name, bytes, previous = null, expires, isNamed = true } = object;
  const nameHash = nameHashOf(domain, name);
  const signer = createStatementSigner(await importSigner(new Uint8Array(32).fill(9)));
  const dated = {
    ...{ domain, nameHash, manifest: hashBytes(manifestBytes), size: bytes.length, author: "a@example.org" },
    ...{ sequence: (previous?.sequence ?? 0) + 1, previous: previous?.id ?? null },
    time: object.time ?? "2026-01-01T00:00:00.000Z",
  };
  const optional = { ...(isNamed ? { name } : {}), ...(expires === undefined ? {} : { expires }) };
  const signed = await signStatement(
    versionKind,
    { type: "holdfast-version-1", ...dated, ...optional },
    signer,
  );
  await shardOf(nameHash).append([
    {
      ...{ ...dated, ...signed, manifestBytes },
      ...{ name: isNamed ? name : null, expires: expires ?? null, key: formatPublicKeyText(signer.key) },
      witness: { bytes: new Uint8Array([1]), signature: "witness signature" },
      right: { by: "domain-key" },
      delegation: null,
    },
  ]);
  return signed.id;
}
