// One TXT question to one DNS-over-HTTPS resolver (RFC 8484, wire format). The answer is taken only if it is whole
// and answers the question that was asked; what the resolver says about DNSSEC (the AD bit) is recorded, not judged.
// What the texts mean is domain-records.ts.

import {
  type Answer,
  DNSSEC_OK,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  RECURSION_DESIRED,
} from "@leichtgewicht/dns-packet";
import { concatBytes } from "@noble/hashes/utils.js";
import { HoldfastError } from "./error.ts";
import { type Fetch, type FetchResponse, readBody } from "./fetch.ts";

/** The largest DNS message there is. */
export const ANSWER_BYTES_MAX = 65_535;
/** Records of all four sections together: the decoder allocates by the header's word. */
export const ANSWER_RECORDS_MAX = 256;
export const CNAME_DEPTH_MAX = 8;
export const DNS_TIMEOUT_MS = 5_000;

const DNS_NAME_LENGTH_MAX = 253;
const DNS_NAME = /^([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/;
const MEDIA_TYPE = "application/dns-message";
const HEADER_BYTES = 12;
/** RFC 2181 8: a TTL with the top bit set counts as zero. */
const TTL_MAX = 0x7fff_ffff;
const UDP_PAYLOAD_SIZE = 1232;

export interface TxtAnswer {
  /** False where the resolver says that the name does not exist (NXDOMAIN). */
  exists: boolean;
  /** The name that the aliases (CNAME) led to; the name asked for where there were none. */
  target: string;
  /** One text a record, its character-strings joined. */
  texts: string[];
  /** The resolver says that it validated the answer with DNSSEC. */
  ad: boolean;
  /** The smallest TTL of what was used; for an empty answer the zone's own negative TTL (RFC 2308), or 0. */
  ttlSeconds: number;
}

export interface TxtQuestion {
  name: string;
  dohUrl: string;
  fetch: Fetch;
  timeoutMs?: number;
}

/** Asks for the TXT records of `name`. Throws `dns-failed` whenever the resolver gave no answer that can be used. */
export async function queryTxt({
  name,
  dohUrl,
  fetch,
  timeoutMs = DNS_TIMEOUT_MS,
}: TxtQuestion): Promise<TxtAnswer> {
  const body = encodeTxtQuery(name);
  try {
    const response = await fetch(dohUrl, {
      method: "POST",
      headers: { accept: MEDIA_TYPE, "content-type": MEDIA_TYPE },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    return parseTxtAnswer(await readAnswer(response), name);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError("dns-failed", `asking ${dohUrl} for ${name} failed: ${reason}`, { cause });
  }
}

/** The query's bytes. The id is 0, as RFC 8484 4.1 asks, so that equal questions are equal bytes. */
export function encodeTxtQuery(name: string): Uint8Array<ArrayBuffer> {
  if (name.length > DNS_NAME_LENGTH_MAX || !DNS_NAME.test(name)) {
    throw new HoldfastError(
      "invalid-domain",
      `${JSON.stringify(name.slice(0, 80))}… is too long for a DNS name, or malformed`,
    );
  }
  const edns: OptAnswer & { flags: number; udpPayloadSize: number } = {
    type: "OPT",
    name: ".",
    data: [],
    flags: DNSSEC_OK,
    udpPayloadSize: UDP_PAYLOAD_SIZE,
  };
  const questions = [{ type: "TXT" as const, name }];
  return Uint8Array.from(
    encode({ type: "query", id: 0, flags: RECURSION_DESIRED, questions, additionals: [edns] }),
  );
}

/** Reads the answer to the question for `name`. Throws `dns-failed`. */
export function parseTxtAnswer(bytes: Uint8Array, name: string): TxtAnswer {
  const message = parseMessage(bytes);
  checkHeader(message, name);
  const answers = (message.answers ?? []).filter(isInternet);
  const { target, aliases } = followAliases(answers, name);
  const used = answers.filter((record) => record.type === "TXT" && foldName(record.name) === target);
  const exists = message.rcode !== "NXDOMAIN";
  if (!exists && used.length > 0)
    throw dnsFailed("the answer has records of a name that it says does not exist");
  const texts = used.flatMap((record) => (record.type === "TXT" ? [joinStrings(record.data)] : []));
  const ttls = [...aliases, ...used].map(ttlOf);
  if (used.length === 0) ttls.push(negativeTtl(message.authorities ?? []));
  return { exists, target, texts, ad: message.flag_ad === true, ttlSeconds: Math.min(...ttls) };
}

async function readAnswer(response: FetchResponse): Promise<Uint8Array> {
  const mediaType = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (response.status === 200 && mediaType === MEDIA_TYPE) return readBody(response, ANSWER_BYTES_MAX);
  await response.body?.getReader().cancel();
  if (response.status !== 200) throw dnsFailed(`the resolver answered HTTP ${response.status}`);
  throw dnsFailed(`the resolver answered ${JSON.stringify(mediaType ?? null)}, not ${MEDIA_TYPE}`);
}

function parseMessage(bytes: Uint8Array): Packet {
  if (bytes.length < HEADER_BYTES) throw dnsFailed("the DNS message is shorter than its header");
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const count = header.getUint16(4) + header.getUint16(6) + header.getUint16(8) + header.getUint16(10);
  if (count > ANSWER_RECORDS_MAX)
    throw dnsFailed(`the DNS message declares ${count} records; ${ANSWER_RECORDS_MAX} are allowed`);
  let message: Packet;
  try {
    message = decode(bytes);
  } catch (cause) {
    throw dnsFailed("the DNS message is malformed", cause);
  }
  // The decoder reads past the end without a word: a message cut in its last record would lose the end of a text.
  const consumed = "bytes" in decode ? decode.bytes : null;
  if (consumed !== bytes.length) throw dnsFailed("the DNS message is cut short, or has bytes left over");
  return message;
}

function checkHeader(message: Packet, name: string): void {
  if (message.id !== 0 || message.flag_qr !== true || message.opcode !== "QUERY") {
    throw dnsFailed("the DNS message is not an answer to the question");
  }
  const [question, ...others] = message.questions ?? [];
  const echoed =
    question?.type === "TXT" &&
    question.class === "IN" &&
    foldName(question.name) === name &&
    others.length === 0;
  if (!echoed) throw dnsFailed("the DNS message answers another question");
  if (message.flag_tc === true) throw dnsFailed("the DNS message is truncated");
  const extended = (message.additionals ?? []).some(
    (record) => "extendedRcode" in record && record.extendedRcode !== 0,
  );
  if (extended || (message.rcode !== "NOERROR" && message.rcode !== "NXDOMAIN")) {
    throw dnsFailed(`the resolver answered ${extended ? "an extended error" : message.rcode}`);
  }
}

/** Follows CNAME records from `name`; a resolver puts the whole chain in one answer. */
function followAliases(answers: readonly Answer[], name: string): { target: string; aliases: Answer[] } {
  const aliases: Answer[] = [];
  let target = name;
  for (;;) {
    const here = answers.filter((record) => record.type === "CNAME" && foldName(record.name) === target);
    const [alias] = here;
    if (alias === undefined) return { target, aliases };
    if (here.length > 1) throw dnsFailed(`${target} is an alias of several names`);
    // The limit also ends a loop.
    if (aliases.length === CNAME_DEPTH_MAX)
      throw dnsFailed(`the aliases of ${name} loop, or are more than ${CNAME_DEPTH_MAX}`);
    aliases.push(alias);
    target = foldName(String(alias.data));
  }
}

/** Joins before decoding, for a character-string may end inside a character. A byte order mark is kept: it is no space. */
function joinStrings(data: string | Uint8Array | (string | Uint8Array)[]): string {
  const pieces = Array.isArray(data) ? data : [data];
  const bytes = pieces.map((piece) => (typeof piece === "string" ? new TextEncoder().encode(piece) : piece));
  return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(concatBytes(...bytes));
}

function negativeTtl(authorities: readonly Answer[]): number {
  const ttls = authorities.flatMap((record) =>
    record.type === "SOA" ? [Math.min(ttlOf(record), record.data.minimum ?? 0)] : [],
  );
  return ttls.length === 0 ? 0 : Math.min(...ttls);
}

function ttlOf(record: Answer): number {
  const ttl = record.ttl ?? 0;
  return ttl > TTL_MAX ? 0 : ttl;
}

function isInternet(record: Answer): boolean {
  return record.class === "IN";
}

function foldName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function dnsFailed(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError("dns-failed", message, { cause });
}
