// POST /chunk/plan: for each chunk, who keeps it already and where to send it. Made under an upload grant of the
// domain, so that strangers neither pin chunks nor learn where to push them.

import { contactOf, type IndexClient } from "../durable-objects/index-client.ts";
import type { Member } from "../durable-objects/members-table.ts";
import { authorizeFor } from "../lib/authority.ts";
import { isDelisted } from "../lib/durability/standing.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { type Domain, domainHashOf } from "../lib/names.ts";
import { placeReplicas } from "../lib/overlay/placement.ts";
import { acceptsDomain } from "../lib/pledge.ts";
import { claimOfGrant, delegationOfGrant, verifyGrant } from "../lib/upload.ts";
import { type PlanAnswer, type PlanRequest, parseSigned } from "../lib/wire.ts";
import { type AppContext, resolverOf } from "./app.ts";
import { denylist } from "./denylist.ts";
import { QuotaRoom } from "./quota.ts";
import { spendDomain } from "./rate-limits.ts";
import { verifyReceipts } from "./receipts.ts";

type PlannedChunk = PlanAnswer["chunks"][number];

export async function makePlan(c: AppContext, index: IndexClient, request: PlanRequest): Promise<PlanAnswer> {
  const grant = await verifyGrant(parseSigned(request.grant), Date.now());
  const { domain } = grant.body;
  denylist().check(domainHashOf(domain), ...request.chunks.map(({ hash }) => hash));
  await authorizeFor(resolverOf(c), claimOfGrant(grant, Date.now()), delegationOfGrant(grant));
  await spendDomain(c, domain);
  await checkRoom(index, domain, request);
  if (request.avoid.length > 0) c.executionCtx.waitUntil(index.checkLinks(request.avoid));
  const held = await verifyReceipts(index, request.receipts, new Set([domain]));
  const holdings = await index.plan(
    request.chunks.map(({ hash }) => hash),
    domain,
    held,
  );
  const members = await index.members([...holdings.values()].flat());
  const nodes = new Map<NodeId, Member>();
  const chunks: PlannedChunk[] = [];
  for (const { hash, size } of request.chunks) {
    const holders = (holdings.get(hash) ?? []).flatMap((id) => members.get(id) ?? []);
    const keeping = holders.filter(
      (member) => keepsFor(member, domain) && !request.avoid.includes(member.id),
    );
    const candidates = await index.candidates(hash);
    const send = chooseNodes({ hash, size }, domain, keeping, candidates, request);
    for (const node of send) nodes.set(node.id, node);
    chunks.push({ hash, held: keeping.map(({ id }) => id), send: send.map(({ id }) => id) });
  }
  return { chunks, nodes: [...nodes.values()].map(contactOf) };
}

/** Before anything is sent. What other windows of the same upload add is not known here: POST /names looks at all of it. */
async function checkRoom(index: IndexClient, domain: Domain, { chunks }: PlanRequest): Promise<void> {
  const room = await QuotaRoom.of(index, domain);
  if (room === null) return;
  const charged = await index.charged(
    chunks.map(({ hash }) => hash),
    domain,
  );
  room.take(chunks.filter(({ hash }) => !charged.has(hash)));
}

function chooseNodes(
  chunk: { hash: Hash; size: number },
  domain: Domain,
  keeping: Member[],
  candidates: Member[],
  request: PlanRequest,
): Member[] {
  const taken = new Set(keeping.map(({ failureDomain }) => failureDomain));
  const chosen = placeReplicas(
    {
      chunk: chunk.hash,
      sizeBytes: chunk.size,
      domain,
      count: request.replicas - taken.size,
      taken,
      avoid: new Set(request.avoid),
    },
    candidates,
  );
  const byId = new Map(candidates.map((member) => [member.id, member]));
  return chosen.flatMap((id) => byId.get(id) ?? []);
}

/** Only a holder that is online, not of low standing, and has chosen the domain counts as keeping a chunk for it. */
function keepsFor(member: Member, domain: Domain): boolean {
  return member.online && !isDelisted(member.standing) && acceptsDomain(member, domain);
}
