// POST /chunk/plan: for each chunk, who keeps it already and where to send it. Made under an upload grant of the
// domain, so that strangers neither pin chunks nor learn where to push them.

import type { HeldChunk } from "../durable-objects/chunks-table.ts";
import { contactOf, type IndexClient } from "../durable-objects/index-client.ts";
import type { Member } from "../durable-objects/members-table.ts";
import { QuotaRoom } from "../durable-objects/quota.ts";
import { authorizeFor } from "../lib/authority.ts";
import { isDelisted } from "../lib/durability/standing.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { type Domain, domainHashOf } from "../lib/names.ts";
import { placeReplicas } from "../lib/overlay/placement.ts";
import { acceptsDomain } from "../lib/pledge.ts";
import { claimOfGrant, delegationOfGrant, verifyGrant } from "../lib/upload.ts";
import type { PlanAnswer, PlanRequest } from "../lib/wire/chunks.ts";
import { parseSigned } from "../lib/wire/signed.ts";
import { type AppContext, resolverOf } from "./app.ts";
import { denylist } from "./denylist.ts";
import { spendDomain } from "./rate-limits.ts";
import { verifyReceipts } from "./receipts.ts";
import { type Placeable, type Placed, placeStripe } from "./stripe-placement.ts";

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
  const keeping = await findKeeping(index, domain, request, held);
  const plans = await planChunks(index, domain, request, keeping);
  const nodes = new Map([...plans.values()].flatMap(({ send }) => send.map((node) => [node.id, node])));
  const chunks = request.chunks.map(({ hash }): PlannedChunk => {
    const plan = plans.get(hash);
    return {
      hash,
      held: [...new Set(plan?.held.map(({ id }) => id))],
      send: [...new Set(plan?.send.map(({ id }) => id))],
    };
  });
  return { chunks, nodes: [...nodes.values()].map(contactOf) };
}

type Keeping = Map<Hash, Member[]>;

/** Who keeps the chunks for the domain, and the others of their stripes. */
async function findKeeping(
  index: IndexClient,
  domain: Domain,
  { chunks, stripes = [], avoid }: PlanRequest,
  held: HeldChunk[],
): Promise<Keeping> {
  const asked = new Set(chunks.map(({ hash }) => hash));
  const others = new Set(stripes.flat().filter((hash) => !asked.has(hash)));
  const planned = await index.plan([...asked], domain, held);
  const holdings = new Map([...planned, ...(await index.locate([...others]))]);
  const members = await index.members([...holdings.values()].flat());
  const keepers = (ids: NodeId[]) =>
    ids
      .flatMap((id) => members.get(id) ?? [])
      .filter((member) => keepsFor(member, domain) && !avoid.includes(member.id));
  return new Map([...holdings].map(([hash, ids]) => [hash, keepers(ids)]));
}

/** Chunks of stripes beside each other, the others each by itself. A chunk of several stripes goes where each of them asks. */
async function planChunks(
  index: IndexClient,
  domain: Domain,
  request: PlanRequest,
  keeping: Keeping,
): Promise<Map<Hash, Placed>> {
  const placeable = new Map<Hash, Placeable>();
  for (const { hash, size } of request.chunks)
    placeable.set(hash, { sizeBytes: size, candidates: await index.candidates(hash) });
  const plans = new Map<Hash, Placed>();
  const avoid = new Set(request.avoid);
  for (const stripe of request.stripes ?? []) {
    const its = new Set(stripe);
    const sendable = new Map([...placeable].filter(([hash]) => its.has(hash)));
    for (const [hash, { held, send }] of placeStripe({
      domain,
      stripe,
      keeping,
      placeable: sendable,
      avoid,
    })) {
      const plan = plans.get(hash);
      plans.set(hash, {
        held: [...(plan?.held ?? []), ...held],
        send: [...(plan?.send ?? []), ...send],
      });
      keeping.set(hash, [...(keeping.get(hash) ?? []), ...send]);
    }
  }
  for (const [hash, chunk] of placeable) {
    if (plans.has(hash)) continue;
    const held = keeping.get(hash) ?? [];
    plans.set(hash, { held, send: chooseNodes(hash, chunk, domain, held, request) });
  }
  return plans;
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
  chunk: Hash,
  { sizeBytes, candidates }: Placeable,
  domain: Domain,
  keeping: Member[],
  request: PlanRequest,
): Member[] {
  const taken = new Set(keeping.map(({ failureDomain }) => failureDomain));
  const chosen = placeReplicas(
    {
      chunk,
      sizeBytes,
      domain,
      count: request.replicas - taken.size,
      taken,
      avoid: new Set(request.avoid),
      holders: keeping,
      hoursYield: false,
      nowMs: Date.now(),
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
