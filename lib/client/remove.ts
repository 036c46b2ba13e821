// Taking Versions of a name back: a signed Removal that the edge accepts and applies, and that the holders of what it names
// keep beside the Versions. What others have copied stays copied.

import { authorizeFor } from "../authority.ts";
import { HoldfastError } from "../error.ts";
import type { Fetch } from "../fetch.ts";
import type { Hash } from "../hash.ts";
import { type Domain, nameHashOf, type ObjectName } from "../names.ts";
import { errorOf } from "../problem.ts";
import { mayRemove, type Removal, removalKind, removes, type VerifiedRemoval } from "../removal.ts";
import type { StatementSigner } from "../sshsig.ts";
import { type SignedStatement, signStatement } from "../statement.ts";
import type { PostedRemovalJson } from "../wire/names.ts";
import { formatSigned, type SignedJson } from "../wire/signed.ts";
import { checkAcknowledged } from "./acknowledgement.ts";
import { announceRemovalToHolders, type BundleReport } from "./announce.ts";
import { type KnownVersion, stands } from "./name-knowledge.ts";
import type { Server } from "./server.ts";
import { collectVersions, type VersionsOptions } from "./versions.ts";

export interface RemoveRequest {
  domain: Domain;
  name: ObjectName;
  author: string;
  /** These, or all up to a sequence, or all that there are. */
  what: { versions: Hash[] } | { through: number } | "all";
  reason: string;
}

export interface RemoveOptions extends VersionsOptions {
  edge: Server;
  fetch: Fetch;
  signer: StatementSigner;
  delegation: SignedStatement | null;
  now(): number;
}

export interface RemoveResult {
  removal: VerifiedRemoval;
  /** What it takes back, newest first. */
  versions: KnownVersion[];
  witnesses: number;
  bundle: BundleReport;
}

/** What a removal would take back, newest first. Throws `not-found` where that is nothing. */
export async function findRemovable(request: RemoveRequest, options: RemoveOptions): Promise<KnownVersion[]> {
  const { domain, name, author } = request;
  const { signer, delegation } = options;
  const claim = { domain, author, key: signer.key, name, timeMs: options.now() };
  const { right } = await authorizeFor(options.domainKeys, claim, delegation);
  const nameHash = nameHashOf(domain, name);
  const { versions } = await collectVersions({ domain, nameHash, depth: "all" }, options);
  const named = versions.filter((known) => stands(known) && isNamed(request, known));
  const [first] = named;
  if (first === undefined) {
    throw new HoldfastError(
      "not-found",
      `no Version of ${domain}/${name} stands that this names; see holdfast log`,
    );
  }
  const own = named.filter(
    (known) =>
      known.right !== null &&
      mayRemove({ right: right.by, author }, { right: known.right.by, author: known.version.body.author }),
  );
  if (own.length > 0) return own;
  throw new HoldfastError(
    "key-not-authorized",
    `these Versions are not ${author}'s: only their author or a key of ${domain} may take them back`,
  );
}

function isNamed({ what }: RemoveRequest, { version: { id, body } }: KnownVersion): boolean {
  if (what === "all") return true;
  return "through" in what ? body.sequence <= what.through : what.versions.includes(id);
}

/** Signs and announces the Removal of `versions`, as findRemovable gave them. Throws what the edge refuses it with. */
export async function removeVersions(
  request: RemoveRequest,
  versions: KnownVersion[],
  options: RemoveOptions,
): Promise<RemoveResult> {
  const { edge, signer, delegation, fetch } = options;
  const removal = await signStatement(removalKind, bodyOf(request, versions, options.now()), signer);
  const posted: PostedRemovalJson = {
    removal: formatSigned(removal),
    witnesses: [],
    ...(delegation === null ? {} : { delegation: formatSigned(delegation) }),
  };
  const witnesses = await postRemoval(edge, removal, posted);
  const taken = versions.filter(({ version }) =>
    removes(removal.body, { id: version.id, sequence: version.body.sequence }),
  );
  const manifests = [...new Set(taken.map(({ version }) => version.body.manifest))];
  const bundle = await announceRemovalToHolders(edge, fetch, { ...posted, witnesses }, manifests);
  return { removal, versions: taken, witnesses: witnesses.length, bundle };
}

function bodyOf(
  { domain, name, author, what, reason }: RemoveRequest,
  versions: readonly KnownVersion[],
  nowMs: number,
): Removal {
  const head = {
    type: "holdfast-removal-1",
    domain,
    nameHash: nameHashOf(domain, name),
    author,
    reason,
    time: new Date(nowMs).toISOString(),
  } as const;
  if (what !== "all" && "versions" in what) return { ...head, versions: what.versions };
  const newest = Math.max(...versions.map(({ version }) => version.body.sequence));
  return { ...head, through: what === "all" ? newest : Math.min(what.through, newest) };
}

async function postRemoval(
  edge: Server,
  removal: VerifiedRemoval,
  posted: PostedRemovalJson,
): Promise<SignedJson[]> {
  const { results } = await edge.postNames({ statements: [posted], receipts: [] });
  const [result] = results;
  if (result === undefined)
    throw new HoldfastError("bad-answer", `${edge.url} did not answer for the Removal`);
  if (result.status === "refused") throw errorOf(result.problem);
  return checkAcknowledged(edge.url, removal, result);
}
