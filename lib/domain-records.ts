// The TXT records at `_holdfast.<domain>`: who may sign for a domain, and by which policy. Pure parsing and
// formatting. A record that is not understood never gives a right: a malformed key is no key, an unknown
// policy leaves the narrow one, and policies that contradict each other stop everything.

import * as v from "valibot";
import { base64 } from "./base64.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import { type Hash, parseHash } from "./hash.ts";
import { fingerprintOf, formatPublicKeyText, parsePublicKeyText } from "./openssh-key.ts";
import { emailSchema } from "./schema.ts";
import { decodeArmor, encodeArmor } from "./sshsig.ts";
import type { SignedStatement } from "./statement.ts";
import { parseTagList, type TagList } from "./tag-list.ts";

/** A longer record counts as malformed. */
export const RECORD_LENGTH_MAX = 4096;
export const AUTHOR_PATTERNS_MAX = 64;

export type DomainPolicy = "exclusive" | "moderated";

export interface DomainKey {
  /** The SSH public key blob. */
  blob: Uint8Array;
  /** The blob in base64, as in `p=`. */
  text: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  fingerprint: string;
  /** Whose key it is; empty where no record says so. */
  emails: string[];
}

/** What all Holdfast records of one DNS name say. */
export interface DomainRecords {
  policy: DomainPolicy;
  /**
   * In a moderated domain, who may come with a key of their own: addresses, and `*@example.net` for all of a domain.
   * Null: anybody. Empty: nobody, which leaves delegations.
   */
  authors: string[] | null;
  keys: DomainKey[];
  /** A record with an empty `p=`: keys stood here, and were withdrawn. */
  hasWithdrawnKey: boolean;
  /** Ids of delegations that hold no longer. */
  revoked: Hash[];
  /** Statements by which an old key names its successor, as published: rotation.ts verifies them. */
  rotations: SignedStatement[];
  /** The records that are Holdfast's, as published. */
  records: string[];
  /** One sentence for each of them that was ignored. */
  problems: string[];
}

type DomainRecord =
  | { kind: "key"; blob: Uint8Array; email: string | null }
  | { kind: "withdrawn-key" }
  | { kind: "revocation"; delegation: Hash }
  | { kind: "rotation"; rotation: SignedStatement }
  | PolicyRecord;

interface PolicyRecord {
  kind: "policy";
  policy: string;
  authors: string[] | null;
}

const KEY_TYPE = "ssh-ed25519";
// White space of any kind may stand here, so that a record spoilt by a no-break space is reported, not passed over.
const HOLDFAST_RECORD = /^\s*v\s*=\s*hf1\s*(;|$)/;
const RECORD_CHARACTERS = /^[\x20-\x7e]*$/;

/** The Holdfast records among the TXT records of one name. */
export function selectDomainRecords(texts: readonly string[]): string[] {
  return texts.filter((text) => HOLDFAST_RECORD.test(text));
}

/** Reads all TXT records of one name. Throws `invalid-record` where policies contradict each other. */
export function parseDomainRecords(texts: readonly string[]): DomainRecords {
  const records = selectDomainRecords(texts);
  const problems: string[] = [];
  const parsed = records.map((text) => parseOrReport(text, problems)).filter((record) => record !== null);
  const policy = choosePolicy(
    parsed.filter((record) => record.kind === "policy"),
    problems,
  );
  return {
    ...policy,
    keys: mergeKeys(parsed),
    hasWithdrawnKey: parsed.some(({ kind }) => kind === "withdrawn-key"),
    revoked: parsed.flatMap((record) => (record.kind === "revocation" ? [record.delegation] : [])),
    rotations: parsed.flatMap((record) => (record.kind === "rotation" ? [record.rotation] : [])),
    records: records.filter(isShort),
    problems,
  };
}

/** The TXT texts to publish for a key: one for each of its e-mail addresses, or one for anybody's. */
export function formatKeyRecords({
  blob,
  emails,
}: {
  blob: Uint8Array;
  emails: readonly string[];
}): string[] {
  const record = `v=hf1; k=${KEY_TYPE}; p=${formatPublicKeyText(blob)}`;
  if (emails.length === 0) return [record];
  return emails.map((email) => `${record}; e=${parseRecordEmail(email)}`);
}

/** The TXT text by which a key's rotation is published. */
export function formatRotationRecord({ bytes, signature }: SignedStatement): string {
  return `v=hf1; rotation=${base64.encode(bytes)}; s=${base64.encode(decodeArmor(signature))}`;
}

/** The TXT text that revokes a delegation before its time. */
export function formatRevocationRecord(delegation: Hash): string {
  return `v=hf1; revoked=${delegation}`;
}

/** Whether `email` is among `authors`, as DomainRecords has them. */
export function admitsAuthor(authors: readonly string[] | null, email: string): boolean {
  if (authors === null) return true;
  const domain = email.slice(email.lastIndexOf("@"));
  return authors.some((pattern) => pattern === email || pattern === `*${domain}`);
}

function parseOrReport(text: string, problems: string[]): DomainRecord | null {
  try {
    return parseRecord(text);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    problems.push(`the record ${quote(text)} is ignored: ${error.message}`);
    return null;
  }
}

function parseRecord(text: string): DomainRecord {
  if (!isShort(text)) throw malformed(`it is longer than ${RECORD_LENGTH_MAX} characters`);
  const tags = parseTagList(text);
  const policy = tags.get("policy");
  const isKey = tags.has("k") || tags.has("p");
  const [rotation, revoked] = [tags.get("rotation"), tags.get("revoked")];
  const kinds = [policy !== undefined, isKey, rotation !== undefined, revoked !== undefined];
  if (kinds.filter(Boolean).length > 1)
    throw malformed("a key, a policy, a rotation and a revocation are records of their own");
  if (policy !== undefined) return { kind: "policy", policy, authors: parseAuthors(tags.get("a")) };
  if (rotation !== undefined) return { kind: "rotation", rotation: parseRotation(rotation, tags.get("s")) };
  if (revoked !== undefined) return { kind: "revocation", delegation: parseHash(revoked) };
  if (isKey) return parseKeyRecord(tags);
  throw malformed("it has none of p= (a key), policy=, rotation= and revoked=");
}

/** `alice@example.org, *@example.net`; an empty text admits nobody. */
function parseAuthors(text: string | undefined): string[] | null {
  if (text === undefined) return null;
  const patterns = text.split(",").map((pattern) => pattern.trim());
  if (patterns.length === 1 && patterns[0] === "") return [];
  if (patterns.length > AUTHOR_PATTERNS_MAX)
    throw malformed(`a= has more than ${AUTHOR_PATTERNS_MAX} patterns`);
  return patterns.map(parseAuthorPattern);
}

function parseAuthorPattern(pattern: string): string {
  const [local = "", domain = "", ...rest] = pattern.split("@");
  if (rest.length === 0 && local === "*" && v.is(emailSchema, `all@${domain}`)) return pattern;
  return parseRecordEmail(pattern);
}

function parseRotation(statement: string, signature: string | undefined): SignedStatement {
  if (signature === undefined) throw malformed("a rotation has a signature, s=");
  return { bytes: parseBase64(statement), signature: encodeArmor(parseBase64(signature)) };
}

function parseBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(base64.decode(text.replace(/[ \t]/g, "")));
  } catch (cause) {
    throw new HoldfastError("invalid-record", "its statement and signature must be base64", { cause });
  }
}

function parseKeyRecord(tags: TagList): DomainRecord {
  const keyType = tags.get("k") ?? "";
  const keyText = tags.get("p")?.replace(/[ \t]/g, "");
  const email = tags.get("e");
  if (keyText === undefined) throw malformed("it has no p=");
  if (keyText === "") return { kind: "withdrawn-key" };
  if (keyType !== KEY_TYPE) throw malformed(`k= must be ${KEY_TYPE}`);
  const blob = parsePublicKeyText(keyText);
  return { kind: "key", blob, email: email === undefined ? null : parseRecordEmail(email) };
}

/** One address, no pattern: `*@example.org` would name everybody where a person was meant. */
function parseRecordEmail(text: string): string {
  if (!RECORD_CHARACTERS.test(text) || text.includes("*") || !v.is(emailSchema, text)) {
    throw malformed(`e= must be one e-mail address in ASCII, its domain in lower case, not ${quote(text)}`);
  }
  return text;
}

/** A key named by several records belongs to all their addresses; one address narrows it for good. */
function mergeKeys(records: readonly DomainRecord[]): DomainKey[] {
  const keys = new Map<string, DomainKey>();
  for (const record of records) {
    if (record.kind !== "key") continue;
    const text = formatPublicKeyText(record.blob);
    const key = keys.get(text) ?? {
      blob: record.blob,
      text,
      fingerprint: fingerprintOf(record.blob),
      emails: [],
    };
    if (record.email !== null && !key.emails.includes(record.email)) key.emails.push(record.email);
    keys.set(text, key);
  }
  return [...keys.values()];
}

function choosePolicy(
  records: readonly PolicyRecord[],
  problems: string[],
): Pick<DomainRecords, "policy" | "authors"> {
  const [first, ...others] = records;
  if (first === undefined) return { policy: "exclusive", authors: [] };
  if (others.some((other) => other.policy !== first.policy || !isSameList(other.authors, first.authors))) {
    throw malformed("the policy records contradict each other: publish one");
  }
  if (first.policy === "moderated") return { policy: "moderated", authors: first.authors };
  if (first.policy !== "exclusive")
    problems.push(`policy=${quote(first.policy)} is not known; policy=exclusive holds`);
  return { policy: "exclusive", authors: [] };
}

function isSameList(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return a === b || (a !== null && b !== null && a.length === b.length && a.every((one, i) => one === b[i]));
}

function isShort(text: string): boolean {
  return text.length <= RECORD_LENGTH_MAX;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function malformed(message: string): HoldfastError {
  return new HoldfastError("invalid-record", message);
}
