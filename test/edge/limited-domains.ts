// DNS for the edge with tight limits: two domains with keys, and none else, as the local responder would answer.

import { Response } from "miniflare";
import { answerQuery } from "../../cli/local/dns-answer.ts";
import { parseZoneFile } from "../../cli/local/zone-file.ts";
import { formatDomainZone } from "../../cli/local/zone-records.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { parseDomain } from "../../lib/names.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { LIMITED_DOMAINS, LIMITED_KEY_FILL } from "./limited-names.ts";

const { key } = createStatementSigner(await importSigner(new Uint8Array(32).fill(LIMITED_KEY_FILL)));
const zone = LIMITED_DOMAINS.map((domain) => formatDomainZone(parseDomain(domain), key, [])).join("");
const records = parseZoneFile(zone);

/** All that the edge sends out of workerd is such questions. */
export async function answerDns(request: { arrayBuffer(): Promise<ArrayBuffer> }): Promise<Response> {
  const answer = answerQuery(new Uint8Array(await request.arrayBuffer()), records);
  return new Response(answer, { headers: { "Content-Type": "application/dns-message" } });
}
