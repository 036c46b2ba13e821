// Versions: the small signed statements that bind (domain, Name Hash) to a Manifest, and the rules by which they
// follow each other. Which keys may sign for a domain is domain-keys.ts.

import * as v from "valibot";
import { HoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { nameHashOf } from "./names.ts";
import {
  countSchema,
  domainSchema,
  emailSchema,
  hashSchema,
  nameSchema,
  positiveSchema,
  timeSchema,
} from "./schema.ts";
import {
  parseStatement,
  type SignedStatement,
  type VerifiedStatement,
  verifyStatement,
} from "./statement.ts";

/** A Version may be dated this far ahead of the clock of the server that accepts it. */
export const CLOCK_SKEW_MAX_MS = 5 * 60 * 1000;

const versionSchema = v.strictObject({
  type: v.literal("holdfast-version-1"),
  domain: domainSchema,
  nameHash: hashSchema,
  name: v.optional(nameSchema),
  sequence: positiveSchema,
  previous: v.nullable(hashSchema),
  time: timeSchema,
  expires: v.optional(timeSchema),
  manifest: hashSchema,
  size: countSchema,
  author: emailSchema,
});

export type Version = v.InferOutput<typeof versionSchema>;
export type VerifiedVersion = VerifiedStatement<Version>;

export const versionKind = {
  type: "holdfast-version-1",
  namespace: "holdfast",
  schema: versionSchema,
} as const;

/** A Version's place in its name's order, and what succession is checked against. */
export type VersionHead = Pick<Version, "sequence" | "time" | "previous"> & { id: Hash };

/** Parses and checks a Version's own fields: canonical, typed, and its name hashing to its Name Hash. */
export function parseVersion(bytes: Uint8Array): Version {
  const version = parseStatement(versionKind, bytes);
  checkVersionFields(version);
  return version;
}

/** Signature, form and Name Hash. Whether the key may sign for the domain is the caller's next question. */
export async function verifyVersion(signed: SignedStatement): Promise<VerifiedVersion> {
  const verified = await verifyStatement(versionKind, signed);
  checkVersionFields(verified.body);
  return verified;
}

function checkVersionFields(version: Version): void {
  if (version.name !== undefined && nameHashOf(version.domain, version.name) !== version.nameHash) {
    throw new HoldfastError("name-hash-mismatch", "the name does not hash to the Name Hash");
  }
  if ((version.sequence === 1) !== (version.previous === null)) {
    throw new HoldfastError("sequence-gap", "sequence 1, and only it, has no previous Version");
  }
  if (version.expires !== undefined && version.expires <= version.time) {
    throw new HoldfastError("time-order", "the Version expires before its own time");
  }
}

/** Newest first: sequence, then time, then id. */
export function compareNewestFirst(a: VersionHead, b: VersionHead): number {
  return b.sequence - a.sequence || compareText(b.time, a.time) || compareText(b.id, a.id);
}

/** Checks a Version against its parent (null for the first). Throws `unknown-previous`, `sequence-gap` or `time-order`. */
export function checkSuccession(parent: VersionHead | null, child: Omit<VersionHead, "id">): void {
  if (child.previous !== (parent?.id ?? null)) {
    throw new HoldfastError("unknown-previous", "the previous Version is not known here");
  }
  if (child.sequence !== (parent?.sequence ?? 0) + 1) {
    throw new HoldfastError(
      "sequence-gap",
      `sequence ${child.sequence} does not follow ${parent?.sequence ?? 0}`,
    );
  }
  if (parent !== null && child.time < parent.time) {
    throw new HoldfastError("time-order", "the Version is dated before its parent");
  }
}

/** Throws `time-order` for a Version dated ahead of `nowMs`, `statement-expired` for one that has run out. */
export function checkAge(version: Version, nowMs: number): void {
  checkDate(version, nowMs);
  checkExpiry(version, nowMs);
}

/** Throws `time-order` for a Version dated ahead of `nowMs`. */
export function checkDate(version: Version, nowMs: number): void {
  if (Date.parse(version.time) > nowMs + CLOCK_SKEW_MAX_MS) {
    throw new HoldfastError("time-order", "the Version is dated in the future: check the clock");
  }
}

export function checkExpiry(version: { expires?: string | null | undefined }, nowMs: number): void {
  if (version.expires != null && Date.parse(version.expires) <= nowMs) {
    throw new HoldfastError("statement-expired", `the Version expired at ${version.expires}`);
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
