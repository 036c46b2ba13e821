// The TXT records at `_holdfast.<domain>`: who may sign for a domain, and by which policy. Pure parsing and
// formatting. A record that is not understood never gives a right: a malformed key is no key, an unknown
// policy leaves the narrow one, and policies that contradict each other stop everything.

import * as v from "valibot";
import { HoldfastError, isHoldfastError } from "./error.ts";
import { fingerprintOf, formatPublicKeyText, parsePublicKeyText } from "./openssh-key.ts";
import { emailSchema } from "./schema.ts";
import { parseTagList, type TagList } from "./tag-list.ts";

/** A longer record counts as malformed. */
export const RECORD_LENGTH_MAX = 4096;

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

export interface DomainRecords {
  policy: DomainPolicy;
  keys: DomainKey[];
  /** The records that are Holdfast's, as published. */
  records: string[];
  /** One sentence for each of them that was ignored. */
  problems: string[];
}

type DomainRecord =
  | { kind: "key"; blob: Uint8Array; email: string | null }
  | { kind: "withdrawn-key" }
  | PolicyRecord;

interface PolicyRecord {
  kind: "policy";
  policy: string;
  authors: string | null;
}

const KEY_TYPE = "ssh-ed25519";
// White space of any kind may stand here, so that a record spoilt by a no-break space is reported, not passed over.
const HOLDFAST_RECORD = /^\s*v\s*=\s*hf1\s*(;|$)/;
const RECORD_CHARACTERS = /^[\x20-\x7e]*$/;

/** Reads all TXT records of one name. Throws `invalid-record` where policies contradict each other. */
export function parseDomainRecords(texts: readonly string[]): DomainRecords {
  const records = texts.filter((text) => HOLDFAST_RECORD.test(text));
  const problems: string[] = [];
  const parsed = records.map((text) => parseOrReport(text, problems)).filter((record) => record !== null);
  const policy = choosePolicy(
    parsed.filter((record) => record.kind === "policy"),
    problems,
  );
  return { policy, keys: mergeKeys(parsed), records: records.filter(isShort), problems };
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
  if (policy === undefined && !isKey) throw malformed("it has neither p= (a key) nor policy=");
  if (policy === undefined) return parseKeyRecord(tags);
  if (isKey) throw malformed("a key and a policy are two records");
  return { kind: "policy", policy, authors: tags.get("a") ?? null };
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

function choosePolicy(records: readonly PolicyRecord[], problems: string[]): DomainPolicy {
  const [first, ...others] = records;
  if (first === undefined) return "exclusive";
  if (others.some((other) => other.policy !== first.policy || other.authors !== first.authors)) {
    throw malformed("the policy records contradict each other: publish one");
  }
  if (first.policy === "exclusive" || first.policy === "moderated") return first.policy;
  problems.push(`policy=${quote(first.policy)} is not known; policy=exclusive holds`);
  return "exclusive";
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
