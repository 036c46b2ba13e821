// DNS for edges under test: the domains with keys, and none else, as the local responder would answer.

import { Response } from "miniflare";
import { answerQuery } from "../../cli/local/dns-answer.ts";
import { parseZoneFile } from "../../cli/local/zone-file.ts";
import { formatDomainZone } from "../../cli/local/zone-records.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { parseDomain } from "../../lib/names.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { DNS_KEYS } from "./dns-domains.ts";

async function keyOf(fill: number): Promise<Uint8Array> {
  return createStatementSigner(await importSigner(new Uint8Array(32).fill(fill))).key;
}

const zones = Object.entries(DNS_KEYS).map(async ([domain, fill]) =>
  formatDomainZone(parseDomain(domain), await keyOf(fill), []),
);
const records = parseZoneFile((await Promise.all(zones)).join(""));

/** All that the edge sends out of workerd is such questions. */
export async function answerDns(request: { arrayBuffer(): Promise<ArrayBuffer> }): Promise<Response> {
  const answer = answerQuery(new Uint8Array(await request.arrayBuffer()), records);
  return new Response(answer, { headers: { "Content-Type": "application/dns-message" } });
}
