// A delegation: a domain's key, or in a moderated domain the author whom a name belongs to, lets another key write some
// names for a while. It travels beside the Versions that rest on it.

import * as v from "valibot";
import { HoldfastError } from "./error.ts";
import { type Domain, NAME_BYTES_MAX, type ObjectName, parseName } from "./names.ts";
import { formatPublicKeyText } from "./openssh-key.ts";
import { domainSchema, emailSchema, keyTextSchema, timeSchema } from "./schema.ts";
import type { VerifiedStatement } from "./statement.ts";

export const NAME_PATTERNS_MAX = 64;
/** It travels in the header of an upload, inside the grant. */
export const DELEGATION_BYTES_MAX = 4096;
/** Nobody remembers to end what has no end. */
export const DELEGATION_LIFETIME_MAX_MS = 5 * 366 * 24 * 60 * 60 * 1000;

/** A name as it stands, or the beginning of names with a `*` after it; `*` alone is every name, private ones too. */
const patternSchema = v.pipe(
  v.string(),
  v.maxLength(NAME_BYTES_MAX),
  v.check(isNamePattern, "expected a name, or the beginning of one and a * at its end"),
);

const delegationSchema = v.strictObject({
  type: v.literal("holdfast-delegation-1"),
  domain: domainSchema,
  /** Whose key it is: the author of the Versions under it. */
  email: emailSchema,
  /** SSH public key blob, base64. */
  key: keyTextSchema,
  names: v.pipe(v.array(patternSchema), v.minLength(1), v.maxLength(NAME_PATTERNS_MAX)),
  /** The author who delegates names of their own; left out where a domain key signs. */
  by: v.optional(emailSchema),
  from: timeSchema,
  until: timeSchema,
});

export type Delegation = v.InferOutput<typeof delegationSchema>;
export type VerifiedDelegation = VerifiedStatement<Delegation>;

export const delegationKind = {
  type: "holdfast-delegation-1",
  namespace: "holdfast-domain",
  schema: delegationSchema,
  bytesMax: DELEGATION_BYTES_MAX,
} as const;

/** What somebody wants to sign. `name` is null for a private one, and undefined where no name is in question yet. */
export interface DelegatedUse {
  domain: Domain;
  author: string;
  key: Uint8Array;
  name: ObjectName | null | undefined;
  timeMs: number;
}

/** Whether the delegation, whoever signed it, is one for this use. Throws `delegation-mismatch`. */
export function checkDelegatedUse({ body }: VerifiedDelegation, use: DelegatedUse): void {
  const [from, until] = [Date.parse(body.from), Date.parse(body.until)];
  if (until <= from || until - from > DELEGATION_LIFETIME_MAX_MS)
    throw mismatch("has dates that are not usable: it ends after it begins, and within five years");
  if (body.domain !== use.domain) throw mismatch(`is for ${body.domain}, not ${use.domain}`);
  if (body.key !== formatPublicKeyText(use.key)) throw mismatch("names another key");
  if (body.email !== use.author) throw mismatch(`is for ${body.email}, not ${use.author}`);
  if (use.timeMs < from) throw mismatch(`begins at ${body.from}`);
  if (use.timeMs >= until) throw mismatch(`ended at ${body.until}: ask for another`);
  const { name } = use;
  if (name !== undefined && !body.names.some((pattern) => matchesName(pattern, name)))
    throw mismatch(`covers ${body.names.join(", ")}, and not ${name ?? "a private name"}`);
}

export function matchesName(pattern: string, name: ObjectName | null): boolean {
  if (pattern === "*") return true;
  if (name === null) return false;
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** `docs/*`, `app.iso`, `*`. Throws `invalid-name`. */
export function parseNamePattern(text: string): string {
  if (isNamePattern(text)) return text;
  throw new HoldfastError(
    "invalid-name",
    `${JSON.stringify(text.slice(0, 80))} is neither a name nor the beginning of one with a * at its end`,
  );
}

function isNamePattern(text: string): boolean {
  const start = text.endsWith("*") ? text.slice(0, -1) : text;
  if (start.includes("*")) return false;
  if (start === "") return text === "*";
  try {
    parseName(start.replace(/\/$/, ""));
    return true;
  } catch (error) {
    if (error instanceof HoldfastError) return false;
    throw error;
  }
}

function mismatch(what: string): HoldfastError {
  return new HoldfastError("delegation-mismatch", `the delegation ${what}`);
}
