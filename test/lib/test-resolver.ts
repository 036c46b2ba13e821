// A resolver of domain keys over DNS servers that are functions: the bytes on the way are real DNS messages.

import { AUTHENTIC_DATA, decode, encode } from "@leichtgewicht/dns-packet";
import {
  createDomainKeyResolver,
  type DomainKeyResolver,
  type DomainKeyResolverOptions,
} from "../../lib/domain-keys.ts";
import { importSigner } from "../../lib/ed25519.ts";
import type { Fetch } from "../../lib/fetch.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";

export const START_MS = Date.UTC(2026, 0, 2);
export const FIRST_URL = "https://one.test/dns-query";
export const NXDOMAIN = 3;
export const SERVFAIL = 2;

export interface Zone {
  texts?: string[];
  ttl?: number;
  rcode?: number;
  ad?: boolean;
  /** Never answers. */
  isSilent?: boolean;
}

export interface TestResolver extends DomainKeyResolver {
  /** The URLs, in the order asked. */
  asked: string[];
  clock: { nowMs: number };
}

export function testResolver(
  answer: (url: string) => Zone,
  options: Partial<DomainKeyResolverOptions> = {},
): TestResolver {
  const asked: string[] = [];
  const clock = { nowMs: START_MS };
  const fetch: Fetch = async (url, init) => {
    asked.push(url);
    const zone = answer(url);
    if (zone.isSilent === true) return untilAborted(init?.signal);
    return new Response(encodeZone(zone, init?.body), {
      headers: { "content-type": "application/dns-message" },
    });
  };
  const resolver = createDomainKeyResolver({
    fetch,
    dohUrls: [FIRST_URL],
    now: () => clock.nowMs,
    ...options,
  });
  return { ...resolver, asked, clock };
}

export function encodeZone(
  { texts = [], ttl = 60, rcode = 0, ad = false }: Zone,
  query: Uint8Array | string | undefined,
): Uint8Array<ArrayBuffer> {
  const name = typeof query === "object" ? nameIn(query) : "";
  return Uint8Array.from(
    encode({
      type: "response",
      flags: rcode | (ad ? AUTHENTIC_DATA : 0),
      questions: [{ type: "TXT", name }],
      answers: texts.map((text) => ({ type: "TXT", name, ttl, data: text.match(/.{1,255}/g) ?? [""] })),
      authorities: [
        { type: "SOA", name: "org", ttl, data: { mname: "a.test", rname: "b.test", minimum: ttl } },
      ],
    }),
  );
}

export function nameIn(query: Uint8Array): string {
  return decode(query).questions?.[0]?.name ?? "";
}

/** A key that signs in memory, always the same one for a number. */
export async function testSigner(seed: number): Promise<StatementSigner> {
  return createStatementSigner(await importSigner(new Uint8Array(32).fill(seed)));
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}
