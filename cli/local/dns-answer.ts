// What a DNS server for one zone file answers to one query, as bytes to bytes: TXT only, class IN, no recursion,
// no DNSSEC. How queries travel is doh-responder.ts.

import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
} from "@leichtgewicht/dns-packet";
import type { ZoneRecord } from "./zone-file.ts";

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export type Rcode = (typeof RCODE)[keyof typeof RCODE];

const HEADER_BYTES = 12;
const MESSAGE_BYTES_MAX = 65_535;
const RESPONSE_BIT = 0x80;
const OPCODE_MASK = 0x7800;

/** `records` is null where the zone file could not be read. Null for bytes that are no query at all. */
export function answerQuery(
  query: Uint8Array,
  records: readonly ZoneRecord[] | null,
): Uint8Array<ArrayBuffer> | null {
  const [, , flagsHigh] = query;
  if (query.length < HEADER_BYTES || flagsHigh === undefined || (flagsHigh & RESPONSE_BIT) !== 0) return null;
  if ((flagsHigh & (OPCODE_MASK >> 8)) !== 0) return encodeAnswer(headerOnly(query), RCODE.NOTIMP, []);
  const packet = decodeQuery(query);
  const [question, ...others] = packet?.questions ?? [];
  if (packet === null || question === undefined || others.length > 0) {
    return encodeAnswer(headerOnly(query), RCODE.FORMERR, []);
  }
  return answerQuestion(packet, question, records);
}

function answerQuestion(
  packet: Packet,
  question: Question,
  records: readonly ZoneRecord[] | null,
): Uint8Array<ArrayBuffer> {
  if (records === null) return encodeAnswer(packet, RCODE.SERVFAIL, []);
  if (question.class !== "IN") return encodeAnswer(packet, RCODE.REFUSED, []);
  const { rcode, found } = lookUp(question, records);
  const answer = encodeAnswer(
    packet,
    rcode,
    found.map((record) => toAnswer(question.name, record)),
  );
  return answer.length > MESSAGE_BYTES_MAX ? encodeAnswer(packet, RCODE.SERVFAIL, []) : answer;
}

/** A name exists if it has records, or if a longer name that has records ends in it (RFC 8020). */
function lookUp(question: Question, records: readonly ZoneRecord[]): { rcode: Rcode; found: ZoneRecord[] } {
  const name = question.name.toLowerCase();
  const exists = records.some(({ owner }) => owner === name || owner.endsWith(`.${name}`));
  if (!exists) return { rcode: RCODE.NXDOMAIN, found: [] };
  return {
    rcode: RCODE.NOERROR,
    found: question.type === "TXT" ? records.filter(({ owner }) => owner === name) : [],
  };
}

function toAnswer(name: string, { ttlSeconds, strings }: ZoneRecord): Answer {
  return { type: "TXT", class: "IN", name, ttl: ttlSeconds, data: [...strings] };
}

function encodeAnswer(packet: Packet, rcode: Rcode, answers: Answer[]): Uint8Array<ArrayBuffer> {
  const copied = (packet.flags ?? 0) & (OPCODE_MASK | RECURSION_DESIRED);
  const authoritative = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN ? AUTHORITATIVE_ANSWER : 0;
  return Uint8Array.from(
    encode({
      type: "response",
      id: packet.id ?? 0,
      flags: copied | RECURSION_AVAILABLE | authoritative | rcode,
      questions: packet.questions ?? [],
      answers,
      additionals: (packet.additionals ?? []).some(({ type }) => type === "OPT") ? [edns()] : [],
    }),
  );
}

function edns(): OptAnswer {
  return { type: "OPT", name: ".", data: [] };
}

function headerOnly(query: Uint8Array): Packet {
  const header = new DataView(query.buffer, query.byteOffset, HEADER_BYTES);
  return { id: header.getUint16(0), flags: header.getUint16(2) };
}

function decodeQuery(query: Uint8Array): Packet | null {
  try {
    return decode(query);
  } catch (error) {
    // The decoder throws plain errors for every malformed message.
    if (error instanceof Error) return null;
    throw error;
  }
}
