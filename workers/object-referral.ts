// /obj as a referral, for clients that verify and fetch for themselves: the signed Version, its Manifest, and who
// holds the Manifest and the first chunks that it names. Who holds the rest, POST /chunk/locate says.

import { contactOf, type IndexClient } from "../durable-objects/index-client.ts";
import type { ObjectHead } from "../durable-objects/versions-table.ts";
import { base64 } from "../lib/base64.ts";
import { HoldfastError } from "../lib/error.ts";
import { type Manifest, namedHashes } from "../lib/manifest.ts";
import { type Domain, nameHashOf, type ObjectName } from "../lib/names.ts";
import { CHUNKS_PER_PLAN_MAX, REFERRAL_TYPE } from "../lib/wire/chunks.ts";
import type { ObjectReferral } from "../lib/wire/names.ts";
import { findHolders } from "./chunk-reader.ts";
import { formatStored } from "./stored-statement.ts";

/** True where Accept names the referral's own type. */
export function wantsReferral(accept: string | undefined): boolean {
  return namesType(accept, REFERRAL_TYPE);
}

/** True where Accept names the media type itself, which no wildcard stands for. */
export function namesType(accept: string | undefined, wanted: string): boolean {
  return (accept ?? "").split(",").some((entry) => {
    const [type = "", ...parameters] = entry.split(";").map((part) => part.trim().toLowerCase());
    return type === wanted && !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter));
  });
}

export async function makeReferral(
  index: IndexClient,
  domain: Domain,
  name: ObjectName,
  head: ObjectHead,
  manifest: Manifest,
): Promise<ObjectReferral> {
  const nameHash = nameHashOf(domain, name);
  const version = await index.shardOf(nameHash).version(head.id);
  if (version === null) throw new HoldfastError("not-found", `there is no Version ${head.id} here`);
  const listed = new Set([head.manifest, ...namedHashes(manifest)]);
  const holders = await findHolders(index, [...listed].slice(0, CHUNKS_PER_PLAN_MAX));
  const nodes = new Map([...holders.values()].flat().map((member) => [member.id, contactOf(member)]));
  return {
    domain,
    name,
    nameHash,
    version: formatStored(version),
    manifest: base64.encode(head.manifestBytes),
    chunks: [...holders].map(([hash, members]) => ({ hash, holders: members.map(({ id }) => id) })),
    nodes: [...nodes.values()],
  };
}
