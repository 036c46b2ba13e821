// What people and programs ask about the network itself: /closest, /domain, /status, and the door for home nodes.

import { Hono } from "hono";
import { SOFTWARE } from "../../durable-objects/env.ts";
import { contactOf } from "../../durable-objects/index-client.ts";
import type { Inventories } from "../../durable-objects/inventories-table.ts";
import type { PeerReport } from "../../durable-objects/outbox-table.ts";
import { uptimeOf } from "../../lib/durability/uptime.ts";
import { HoldfastError } from "../../lib/error.ts";
import { parseHash, parseNodeId } from "../../lib/hash.ts";
import { DEFAULT_REPLICAS } from "../../lib/manifest.ts";
import { domainHashOf, nameHashOf, parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import type { ClosestAnswer } from "../../lib/wire/nodes.ts";
import {
  type DomainAnswer,
  type EdgeStatus,
  type InventoriesStatus,
  LISTED_NODES_MAX,
} from "../../lib/wire/status.ts";
import { type AppContext, type AppEnv, edgeKeyOf, indexOf, resolverOf } from "../app.ts";
import { denylist } from "../denylist.ts";
import { supportOf } from "../supporters.ts";

const RATIO_DIGITS = 3;

export const network = new Hono<AppEnv>()
  .get("/closest/:hash", async (c) => {
    const members = await indexOf(c).closest(parseHash(c.req.param("hash")));
    return c.json<ClosestAnswer>({ nodes: members.map(contactOf) });
  })
  .get("/domain/:domain", async (c) => {
    const { domain, policy, keys, problems, evidence } = await resolverOf(c).resolve(
      parseDomain(c.req.param("domain")),
      { for: "read" },
    );
    return c.json<DomainAnswer>({
      domain,
      policy,
      keys: keys.map(({ text, fingerprint, emails }) => ({ key: text, fingerprint, emails })),
      problems,
      evidence,
      ...(await supportOf(indexOf(c), domain)),
    });
  })
  .get("/status", async (c) => c.json(await statusOf(c)))
  .get("/node", async (c) => {
    const node = parseNodeId(c.req.query("id"));
    if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") {
      throw new HoldfastError("invalid-request", "home nodes register here, over a WebSocket");
    }
    return indexOf(c).link(node).fetch(c.req.raw);
  });

/** Of what its copies take on nodes, the part that its supporters pledge: below 1, it lives on pledges to all. */
function ratioOf({ bytes, pledgedBytes }: { bytes: number; pledgedBytes: number }): number {
  return Number((pledgedBytes / (bytes * DEFAULT_REPLICAS)).toFixed(RATIO_DIGITS));
}

function inventoriesOf(inventories: Inventories): InventoriesStatus {
  const { online, told, sinceMs, untilMs, refused, waiting } = inventories;
  const timeOf = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  return {
    ...{ online, told, since: timeOf(sinceMs), until: timeOf(untilMs) },
    statements: {
      listed: inventories.statementsListed,
      taken: inventories.statementsTaken,
      ...{ waiting, refused },
    },
    chunks: { listed: inventories.chunksListed, taken: inventories.chunksTaken },
  };
}

function peerStatus(url: string, reports: readonly PeerReport[]): EdgeStatus["peers"][number] {
  const report = reports.find(({ peer }) => peer === url);
  if (report === undefined) return { url, reachable: null, waiting: 0, exchangedAt: null };
  const { waiting, answeredMs, failedMs } = report;
  const isKnown = answeredMs !== null || failedMs !== null;
  return {
    url,
    reachable: isKnown ? (answeredMs ?? 0) > (failedMs ?? 0) : null,
    waiting,
    exchangedAt: answeredMs === null ? null : new Date(answeredMs).toISOString(),
  };
}

async function statusOf(c: AppContext): Promise<EdgeStatus> {
  const index = indexOf(c);
  const [{ id, signer }, report] = await Promise.all([edgeKeyOf(c), index.root().network(LISTED_NODES_MAX)]);
  return {
    kind: "edge",
    id,
    key: formatPublicKeyText(signer.key),
    software: SOFTWARE,
    shardDepth: index.settings.shardDepth,
    failureDomain: index.settings.failureDomain,
    nodes: report.counts,
    index: report.index,
    repairs: report.repairs,
    needed: report.needed,
    inventories: inventoriesOf(report.inventories),
    shards: { ...report.shards, largest: report.largest, behind: report.behind },
    partitions: report.partitions,
    recent: report.recent.filter(
      ({ domain, name, version }) =>
        !denylist().has(version) && !denylist().hasName(domain, nameHashOf(domain, name)),
    ),
    members: report.members.map((member) => ({
      ...contactOf(member),
      online: member.online,
      since: new Date(member.sinceMs).toISOString(),
      pledgedBytes: member.pledgedBytes,
      freeBytes: member.freeBytes,
      standing: member.standing,
      uptime: uptimeOf(member, Date.now()),
      chunks: member.chunks,
      servedBytes: member.servedBytes,
      name: member.name,
    })),
    domains: report.domains
      .filter(({ domain }) => !denylist().has(domainHashOf(domain)))
      .map((one) => ({ ...one, ratio: ratioOf(one) })),
    peers: index.settings.peerEdges.map((url) => peerStatus(url, report.peers)),
    reportedAt: report.reportedMs === null ? null : new Date(report.reportedMs).toISOString(),
  };
}
