// The commit of a publish. In this order, so that a crash between any two steps loses nothing acknowledged and
// leaves nothing half-stored: verify, write holders and references, check redundancy, sign witnesses, append.

import type { HeldChunk } from "../durable-objects/chunks-table.ts";
import type { EdgeKey } from "../durable-objects/edge-key.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import { QuotaRoom } from "../durable-objects/quota.ts";
import type { NewRemoval } from "../durable-objects/removals-table.ts";
import { type Required, requiredBy } from "../durable-objects/required-chunks.ts";
import type { AppendResult } from "../durable-objects/shard-answers.ts";
import type { NewVersion } from "../durable-objects/versions-table.ts";
import type { DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import { type Hash, hashBytes, type NodeId } from "../lib/hash.ts";
import { namedHashes } from "../lib/manifest.ts";
import type { Domain } from "../lib/names.ts";
import { formatPublicKeyText } from "../lib/openssh-key.ts";
import {
  type Publication,
  type PublishedRemoval,
  verifyPublication,
  verifyPublishedRemoval,
} from "../lib/publication.ts";
import type { NamesRequest, NamesResult, PostedRemovalJson, PublishedJson } from "../lib/wire/names.ts";
import { formatSigned, parseSigned, type SignedJson } from "../lib/wire/signed.ts";
import { signWitness } from "../lib/witness.ts";
import { findHolders, readChunk } from "./chunk-reader.ts";
import { denylist } from "./denylist.ts";
import { verifyReceipts } from "./receipts.ts";

/** A publication on its way, or the reason why it was refused. */
export type Step<T> = { ok: true; id: () => Hash | null; value: T } | { ok: false; result: NamesResult };

interface Prepared extends Required {
  publication: Publication;
}

/** Commits each statement by itself; the results are in the order of the request. Versions come before Removals. */
export async function commitStatements(
  index: IndexClient,
  resolver: DomainKeyResolver,
  edge: EdgeKey,
  { statements, receipts }: NamesRequest,
  admit: Admit,
): Promise<NamesResult[]> {
  const published = statements.filter((entry) => "version" in entry);
  const removals = statements.filter((entry) => "removal" in entry);
  const versionResults =
    published.length === 0
      ? []
      : await commitPublications(index, resolver, edge, { statements: published, receipts }, admit);
  const removalResults = await commitRemovals(index, resolver, edge, removals, admit);
  return statements.flatMap((entry) => {
    const results = "version" in entry ? versionResults : removalResults;
    return results.splice(0, 1);
  });
}

/** Throws where a domain may not write now. Asked once its key has been verified. */
export type Admit = (domain: Domain) => Promise<void>;

async function commitPublications(
  index: IndexClient,
  resolver: DomainKeyResolver,
  edge: EdgeKey,
  request: { statements: PublishedJson[]; receipts: NamesRequest["receipts"] },
  admit: Admit,
): Promise<NamesResult[]> {
  const verified = await Promise.all(
    request.statements.map((entry) =>
      attempt(
        () => idOf(entry.version),
        () => verifyPublication(entry, resolver, Date.now()),
      ),
    ),
  );
  const accepted = verified.flatMap((step) => (step.ok ? [step.value] : []));
  const domains = new Set(accepted.map(({ version }) => version.body.domain));
  for (const domain of domains) await admit(domain);
  const held = accepted.length === 0 ? [] : await verifyReceipts(index, request.receipts, domains);
  // The parts of a large Manifest are read from holders that have just become known; else one write does for all.
  const readsParts = accepted.some(({ manifest }) => "parts" in manifest);
  if (readsParts) await index.write({ held, references: [], statements: [] });
  const readyToCharge = await Promise.all(
    verified.map((step) => then(step, (publication) => prepare(index, publication))),
  );
  const prepared = await takeRoom(index, readyToCharge, domains);
  const holdings = await writeRows(index, prepared, readsParts ? [] : held);
  const members = await index.members([...holdings.values()].flat());
  const checked = await Promise.all(
    prepared.map((step) =>
      then(step, async ({ publication, required }) => {
        required.checkHeld(publication.version.body.domain, holdings, members);
        return publication;
      }),
    ),
  );
  const signed = await Promise.all(
    checked.map((step) => then(step, (publication) => toNewVersion(publication, edge))),
  );
  const results = await index.append(signed.flatMap((step) => (step.ok ? [step.value] : [])));
  return signed.map((step) => (step.ok ? resultOf(step.value, results.get(step.value.id)) : step.result));
}

async function prepare(index: IndexClient, publication: Publication): Promise<Prepared> {
  const { manifest, version } = publication;
  denylist().checkName(version.body.domain, version.body.nameHash);
  denylist().checkManifest(version.body.manifest, manifest);
  const { manifest: hash } = version.body;
  const holders = await findHolders(index, "parts" in manifest ? namedHashes(manifest) : []);
  const readPart = (part: Hash) => readChunk(index, { hash: part }, holders.get(part) ?? []);
  const sizeBytes = publication.manifestBytes.length;
  const required = await requiredBy({ hash, sizeBytes, manifest }, readPart);
  for (const chunk of required.sizes.keys()) denylist().check(chunk);
  return { publication, ...required };
}

/** Refuses, in the order of the post, what a domain's quota has no room for. */
async function takeRoom(
  index: IndexClient,
  prepared: Step<Prepared>[],
  domains: ReadonlySet<Domain>,
): Promise<Step<Prepared>[]> {
  const rooms = new Map<Domain, { room: QuotaRoom; charged: Set<Hash> }>();
  for (const domain of domains) {
    const room = await QuotaRoom.of(index, domain);
    if (room === null) continue;
    const its = prepared.flatMap((step) =>
      step.ok && domainOf(step.value) === domain ? [...step.value.sizes.keys()] : [],
    );
    rooms.set(domain, { room, charged: await index.charged(its, domain) });
  }
  if (rooms.size === 0) return prepared;
  const steps: Step<Prepared>[] = [];
  for (const step of prepared) {
    steps.push(
      await then(step, async (value) => {
        const { room, charged } = rooms.get(domainOf(value)) ?? {};
        const uncharged = [...value.sizes].filter(([hash]) => charged?.has(hash) !== true);
        room?.take(uncharged.map(([hash, size]) => ({ hash, size })));
        for (const [hash] of uncharged) charged?.add(hash);
        return value;
      }),
    );
  }
  return steps;
}

function domainOf({ publication }: Prepared): Domain {
  return publication.version.body.domain;
}

async function writeRows(
  index: IndexClient,
  prepared: Step<Prepared>[],
  held: HeldChunk[],
): Promise<Map<Hash, NodeId[]>> {
  const values = prepared.flatMap((step) => (step.ok ? [step.value] : []));
  const references = values.flatMap(({ publication, required }) => {
    const { manifest, domain, nameHash } = publication.version.body;
    return required.references({ manifest, domain, nameHash });
  });
  const statements = values.map(({ publication: { version } }) => ({
    id: version.id,
    nameHash: version.body.nameHash,
    domain: version.body.domain,
  }));
  return index.write({ held, references, statements });
}

export async function toNewVersion(
  { version, manifestBytes, authority, delegation, ifMatch }: Publication,
  edge: EdgeKey,
): Promise<NewVersion> {
  const { type: _, name, expires, ...body } = version.body;
  return {
    ...body,
    id: version.id,
    name: name ?? null,
    expires: expires ?? null,
    key: formatPublicKeyText(version.key),
    bytes: version.bytes,
    signature: version.signature,
    witness: await signWitness(version, authority, edge.id, Date.now(), edge.signer),
    manifestBytes,
    right: authority.right,
    delegation,
    ifMatch,
  };
}

async function commitRemovals(
  index: IndexClient,
  resolver: DomainKeyResolver,
  edge: EdgeKey,
  posted: PostedRemovalJson[],
  admit: Admit,
): Promise<NamesResult[]> {
  const signed = await Promise.all(
    posted.map((entry) =>
      attempt(
        () => idOf(entry.removal),
        async () => toNewRemoval(await verifyPublishedRemoval(entry, resolver, Date.now()), edge),
      ),
    ),
  );
  const removals = signed.flatMap((step) => (step.ok ? [step.value] : []));
  for (const domain of new Set(removals.map((removal) => removal.domain))) await admit(domain);
  await index.write({ held: [], references: [], statements: removals });
  const results = await index.remove(removals);
  await endUses(index, removals);
  return signed.map((step) => (step.ok ? resultOf(step.value, results.get(step.value.id)) : step.result));
}

/** The Removals stand whether or not this succeeds: a walk of the collectors does the same, later. */
export async function endUses(index: IndexClient, removals: NewRemoval[]): Promise<void> {
  try {
    await index.endUsesOf(removals);
  } catch (error) {
    console.warn(`what Removals have ended is left to the collectors: ${error}`);
  }
}

export async function toNewRemoval(
  { removal, authority, delegation }: PublishedRemoval,
  edge: EdgeKey,
): Promise<NewRemoval> {
  const { id, bytes, signature, body } = removal;
  const { nameHash, domain, author } = body;
  return {
    ...{ id, nameHash, domain, author, bytes, signature, delegation },
    right: authority.right.by,
    witness: await signWitness(removal, authority, edge.id, Date.now(), edge.signer),
  };
}

export function resultOf({ id }: { id: Hash }, result: AppendResult | undefined): NamesResult {
  if (result === undefined) throw new TypeError("a shard answered without a result");
  if (result.status === "refused") return refusal(id, new HoldfastError(result.code, result.detail));
  return { id, status: result.status, witnesses: [formatSigned(result.witness)] };
}

function then<A, B>(step: Step<A>, next: (value: A) => Promise<B>): Promise<Step<B>> {
  return step.ok ? attempt(step.id, () => next(step.value)) : Promise.resolve(step);
}

/** The id of a posted statement, whatever is wrong with it; null where its base64 is. */
export function idOf(statement: SignedJson): Hash | null {
  try {
    return hashBytes(parseSigned(statement).bytes);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return null;
  }
}

/** The id is asked for only where there is a refusal to name it. */
export async function attempt<T>(id: () => Hash | null, run: () => Promise<T>): Promise<Step<T>> {
  try {
    return { ok: true, id, value: await run() };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { ok: false, result: refusal(id(), error) };
  }
}

function refusal(id: Hash | null, error: HoldfastError): NamesResult {
  return { id, status: "refused", problem: { code: error.code, detail: error.message } };
}
