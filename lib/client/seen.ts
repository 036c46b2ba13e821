// The newest Version that this client has seen of each name, kept by the host between runs: no server can take a reader
// back to an older one without being noticed, even where it is the only one asked.

import { HoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import type { Domain } from "../names.ts";
import { removes } from "../removal.ts";
import { compareNewestFirst, type VerifiedVersion } from "../version.ts";
import type { KnownRemoval } from "./name-knowledge.ts";

/** A Version's place in its name's order. */
export interface SeenVersion {
  version: Hash;
  sequence: number;
  /** ISO 8601. */
  time: string;
}

export interface SeenVersions {
  /** Null where no Version of the name was seen. */
  newestOf(domain: Domain, nameHash: Hash): Promise<SeenVersion | null>;
  /** Keeps the Version where it is newer than what is kept. */
  note(domain: Domain, nameHash: Hash, seen: SeenVersion): Promise<void>;
}

/**
 * Throws `rolled-back` where `version`, the newest that servers tell of (null: they tell of none), is older than what was
 * seen, and what was seen has not been taken back.
 */
export async function checkNotOlder(
  name: { domain: Domain; nameHash: Hash },
  version: VerifiedVersion | null,
  removals: readonly KnownRemoval[],
  seen: SeenVersions | undefined,
): Promise<void> {
  const newest = (await seen?.newestOf(name.domain, name.nameHash)) ?? null;
  if (newest === null || (version !== null && !isNewer(newest, seenOf(version)))) return;
  if (removals.some((removal) => tookBack(removal, newest))) return;
  const told = version === null ? "no Version" : `nothing newer than sequence ${version.body.sequence}`;
  throw new HoldfastError(
    "rolled-back",
    `the servers asked know ${told} of this name, and sequence ${newest.sequence} of ${newest.time} ` +
      `(Version ${newest.version}) was seen here before`,
  );
}

/** By the domain's key: of what was seen no more is kept than its place, so nobody else's right to it can be judged. */
function tookBack({ removal, right }: KnownRemoval, { version, sequence }: SeenVersion): boolean {
  return right.by === "domain-key" && removes(removal.body, { id: version, sequence });
}

export async function noteSeen(version: VerifiedVersion, seen: SeenVersions | undefined): Promise<void> {
  const { domain, nameHash } = version.body;
  await seen?.note(domain, nameHash, seenOf(version));
}

/** Whether `a` comes before `b` in the order of a name's Versions, newest first. */
export function isNewer(a: SeenVersion, b: SeenVersion): boolean {
  return compareNewestFirst(headOf(a), headOf(b)) < 0;
}

function seenOf({ id, body: { sequence, time } }: VerifiedVersion): SeenVersion {
  return { version: id, sequence, time };
}

function headOf({ version, sequence, time }: SeenVersion) {
  return { id: version, sequence, time, previous: null };
}
