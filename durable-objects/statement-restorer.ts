// Brings in statements that a home node says it keeps: each is fetched through the node's tunnel, verified as POST /names would
// and, where its key has left DNS, by the witnesses that came along; then its references are written, and then it itself.

import { type ErrorCode, HoldfastError, isHoldfastError } from "../lib/error.ts";
import { type Hash, type NodeId, partitionOf } from "../lib/hash.ts";
import { type Manifest, namedHashes } from "../lib/manifest.ts";
import { formatPublicKeyText } from "../lib/openssh-key.ts";
import { checkManifest } from "../lib/publication.ts";
import type { VerifiedRemoval } from "../lib/removal.ts";
import {
  type Offered,
  type RestorationOptions,
  type Restored,
  restoreRemoval,
  restoreVersion,
  verifyOffered,
} from "../lib/restoration.ts";
import { STATEMENT_PATH } from "../lib/tunnel/passage.ts";
import type { VerifiedVersion } from "../lib/version.ts";
import { parseListed } from "../lib/wire/signed.ts";
import { signWitness } from "../lib/witness.ts";
import type { Reference } from "./chunks-table.ts";
import type { EdgeKey } from "./edge-key.ts";
import { edgeResolver } from "./edge-resolver.ts";
import type { IndexClient } from "./index-client.ts";
import type { ListedId, Outcome } from "./names-visit.ts";
import { QuotaRoom } from "./quota.ts";
import { type Required, RequiredChunks, requiredBy } from "./required-chunks.ts";
import type { AppendResult } from "./shard-answers.ts";
import type { RestoredRemoval, RestoredVersion } from "./statement-restore.ts";

/** Statements fetched and verified at a time, with their Manifests of up to 1.5 MB each. */
export const RESTORED_AT_ONCE = 8;
/** Manifests are handed to the index together, up to so many bytes and a group more. */
export const WRITTEN_BYTES_AT_ONCE = 8 * 1024 * 1024;
/** Holders asked for a Manifest or a part that the node itself does not give. */
export const HOLDERS_ASKED_MAX = 3;
/** What may come, or mend: asked for again. */
const WAITING = [
  "no-holder",
  "unknown-previous",
  "dns-failed",
  "dns-disagreement",
  "not-found",
  "rate-limited",
] as const;

export interface RestorerDeps {
  index: IndexClient;
  edge: EdgeKey;
  node: NodeId;
  /** The node's JSON answer to a GET, through its tunnel. */
  ask: (path: string) => Promise<unknown>;
}

/** A statement that has stood every check, with what it refers to. */
type Prepared =
  | { kind: "version"; version: RestoredVersion; references: Reference[] }
  | { kind: "removal"; removal: RestoredRemoval };

type Step = { ok: true; id: Hash; value: Prepared } | { ok: false; outcome: Outcome };

export class StatementRestorer {
  readonly #deps: RestorerDeps;
  readonly #options: Omit<RestorationOptions, "nowMs">;

  constructor(deps: RestorerDeps) {
    const { index, edge } = deps;
    this.#deps = deps;
    this.#options = {
      resolver: edgeResolver(index, (make) => make((url, init) => fetch(url, init))),
      trusted: { own: new Set([edge.id]), peers: index.settings.witnessEdges },
    };
  }

  /** What became of each, in their order. Throws `unreachable` or `timeout` where the node has gone. */
  async restore(listed: readonly ListedId[]): Promise<Outcome[]> {
    const steps: Step[] = [];
    const results = new Map<Hash, Outcome>();
    let unwritten: Prepared[] = [];
    for (let at = 0; at < listed.length; at += RESTORED_AT_ONCE) {
      const group = listed.slice(at, at + RESTORED_AT_ONCE);
      const attempted = await Promise.all(group.map((one) => this.#attempt(one)));
      steps.push(...attempted);
      unwritten.push(...attempted.flatMap((step) => (step.ok ? [step.value] : [])));
      if (at + RESTORED_AT_ONCE < listed.length && bytesOf(unwritten) < WRITTEN_BYTES_AT_ONCE) continue;
      for (const [id, outcome] of await this.#write(unwritten)) results.set(id, outcome);
      unwritten = [];
    }
    return steps.map((step) => (step.ok ? (results.get(step.id) ?? waiting("no-holder")) : step.outcome));
  }

  async #attempt({ id, partition }: ListedId): Promise<Step> {
    const listed = await this.#fetch(id);
    if (listed === null) return { ok: false, outcome: { status: "refused", code: "bad-answer" } };
    try {
      const offered = await verifyOffered(parseListed(listed), Date.now());
      const { statement } = offered;
      if (statement.id !== id || partitionOf(statement.body.nameHash) !== partition)
        throw new HoldfastError("bad-answer", "the statement is not the one that was listed");
      return { ok: true, id, value: await this.#prepare(offered) };
    } catch (error) {
      return { ok: false, outcome: outcomeOf(error) };
    }
  }

  /** Null where the node does not give what it listed. */
  async #fetch(id: Hash): Promise<unknown> {
    try {
      return await this.#deps.ask(`${STATEMENT_PATH}/${id}`);
    } catch (error) {
      if (!isHoldfastError(error) || isHoldfastError(error, "unreachable", "timeout")) throw error;
      return null;
    }
  }

  async #prepare({ kind, statement, evidence }: Offered): Promise<Prepared> {
    const options = { ...this.#options, nowMs: Date.now() };
    if (kind === "removal") {
      const restored = await restoreRemoval(statement, evidence, options);
      return { kind, removal: await this.#toRemoval(restored) };
    }
    return this.#prepareVersion(await restoreVersion(statement, evidence, options));
  }

  async #prepareVersion(restored: Restored<VerifiedVersion>): Promise<Prepared> {
    const { statement } = restored;
    const manifestBytes = await this.#read(statement.body.manifest);
    const version = await this.#toVersion(restored, manifestBytes);
    if (manifestBytes === null) return { kind: "version", version, references: [] };
    const manifest = checkManifest(statement, manifestBytes);
    const required = await this.#required(statement, manifest, manifestBytes.length);
    // What was acknowledged before had its room then.
    if (!version.isWitnessed) await this.#takeRoom(statement, required);
    return { kind: "version", version, references: referencesOf(statement, required) };
  }

  /** Parts are read from whoever has claimed them: until somebody has, the references to them are what there is. */
  async #required(statement: VerifiedVersion, manifest: Manifest, sizeBytes: number): Promise<Required> {
    const hash = statement.body.manifest;
    if ("parts" in manifest) {
      const required = new RequiredChunks(manifest.redundancy);
      for (const part of [hash, ...namedHashes(manifest)]) required.addManifest(part);
      const references = referencesOf(statement, { required, sizes: new Map([[hash, sizeBytes]]) });
      await this.#deps.index.write({ held: [], references, statements: [] }, "node");
    }
    return requiredBy({ hash, sizeBytes, manifest }, async (part) => {
      const bytes = await this.#read(part);
      if (bytes === null) throw new HoldfastError("no-holder", `nobody gives part ${part} yet`);
      return bytes;
    });
  }

  async #takeRoom({ body: { domain } }: VerifiedVersion, { sizes }: Required): Promise<void> {
    const { index } = this.#deps;
    const room = await QuotaRoom.of(index, domain);
    if (room === null) return;
    const charged = await index.charged(sizes.keys(), domain);
    room.take([...sizes].flatMap(([hash, size]) => (charged.has(hash) ? [] : [{ hash, size }])));
  }

  /** A Manifest or a part, verified: from the node itself, else from those that are known to hold it. Null: nobody gives it. */
  async #read(hash: Hash): Promise<Uint8Array<ArrayBuffer> | null> {
    const { index, node } = this.#deps;
    const own = await index.read({ id: node, url: null }, { hash });
    if (own.status === "read") return own.bytes;
    if (own.status === "corrupt")
      throw new HoldfastError(
        "content-hash-mismatch",
        "the node gives something else under the Manifest's hash",
      );
    const holders = (await index.locate([hash])).get(hash) ?? [];
    const members = await index.members(holders.filter((id) => id !== node).slice(0, HOLDERS_ASKED_MAX));
    for (const member of members.values()) {
      const outcome = await index.read(member, { hash });
      if (outcome.status === "read") return outcome.bytes;
    }
    return null;
  }

  async #write(prepared: readonly Prepared[]): Promise<Map<Hash, Outcome>> {
    const { index } = this.#deps;
    if (prepared.length === 0) return new Map();
    const versions = prepared.flatMap((one) => (one.kind === "version" ? [one.version] : []));
    const removals = prepared.flatMap((one) => (one.kind === "removal" ? [one.removal] : []));
    const references = prepared.flatMap((one) => (one.kind === "version" ? one.references : []));
    const statements = [...versions, ...removals].map(({ id, nameHash, domain }) => ({
      ...{ id, nameHash, domain },
    }));
    await index.write({ held: [], references, statements }, "node");
    const results = await index.restore({ versions, removals });
    if (removals.length > 0) await index.endUsesOf(removals);
    const outcomes = [...results].map(([id, result]): [Hash, Outcome] => [id, resultOutcome(result)]);
    return new Map(outcomes);
  }

  async #toVersion(
    restored: Restored<VerifiedVersion>,
    manifestBytes: Uint8Array<ArrayBuffer> | null,
  ): Promise<RestoredVersion> {
    const { statement, right, delegation } = restored;
    const { type: _, name, expires, ...body } = statement.body;
    return {
      ...body,
      id: statement.id,
      name: name ?? null,
      expires: expires ?? null,
      key: formatPublicKeyText(statement.key),
      ...{ bytes: statement.bytes, signature: statement.signature, manifestBytes, right, delegation },
      ...(await this.#earlier(restored)),
    };
  }

  async #toRemoval(restored: Restored<VerifiedRemoval>): Promise<RestoredRemoval> {
    const { statement, right, delegation } = restored;
    const { id, bytes, signature, body } = statement;
    const { nameHash, domain, author } = body;
    return {
      ...{ id, nameHash, domain, author, bytes, signature, delegation, right: right.by },
      ...(await this.#earlier(restored)),
    };
  }

  /** The witness that is kept: the one by which it stands, else this edge's own, of now. */
  async #earlier(
    restored: Restored<VerifiedVersion | VerifiedRemoval>,
  ): Promise<Pick<RestoredVersion, "witness" | "acceptedMs" | "isWitnessed">> {
    if (restored.witness !== null)
      return { witness: restored.witness, acceptedMs: restored.atMs, isWitnessed: true };
    const { id, signer } = this.#deps.edge;
    const nowMs = Date.now();
    const witness = await signWitness(restored.statement, restored.authority, id, nowMs, signer);
    return { witness, acceptedMs: nowMs, isWitnessed: false };
  }
}

/** With sizes: nobody has told yet that they hold any of it. */
function referencesOf({ body }: VerifiedVersion, { required, sizes }: Required): Reference[] {
  const { manifest, domain, nameHash } = body;
  return required.references({ manifest, domain, nameHash }).map((reference) => {
    const sizeBytes = sizes.get(reference.chunk);
    return sizeBytes === undefined ? reference : { ...reference, sizeBytes };
  });
}

/** What of it is large. */
function bytesOf(prepared: readonly Prepared[]): number {
  return prepared.reduce(
    (sum, one) => sum + (one.kind === "version" ? (one.version.manifestBytes?.length ?? 0) : 0),
    0,
  );
}

function resultOutcome(result: AppendResult): Outcome {
  if (result.status === "refused") return outcomeOf(new HoldfastError(result.code, result.detail));
  return { status: result.status === "known" ? "known" : "taken" };
}

/** Throws what is no expected failure. */
function outcomeOf(error: unknown): Outcome {
  if (!isHoldfastError(error)) throw error;
  const { code } = error;
  return isHoldfastError(error, ...WAITING) ? waiting(code) : { status: "refused", code };
}

function waiting(code: ErrorCode): Outcome {
  return { status: "waiting", code };
}
