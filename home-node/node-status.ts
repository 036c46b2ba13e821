// What the node says of itself, put together from its parts when somebody asks.

import type { LocalNodeStatus, PublicNodeStatus } from "../lib/node-status.ts";
import type { Pledge } from "../lib/pledge.ts";
import type { Counters } from "./counters/counters.ts";
import type { Identity } from "./identity.ts";
import type { Drain } from "./leaving/drain.ts";
import type { Intent } from "./leaving/intent.ts";
import type { EdgeLink } from "./link/edge-link.ts";
import { SOFTWARE } from "./link/link-session.ts";
import type { RelayLinks } from "./link/relay-links.ts";
import type { Overlay } from "./overlay/overlay.ts";
import type { Relay } from "./relay/relay.ts";
import type { ChunkStore } from "./store/chunk-store.ts";
import type { Room } from "./store/room.ts";
import type { Scrub } from "./store/scrub.ts";
import type { StatementStore } from "./store/statement-store.ts";

export interface StatusSources {
  identity: Identity;
  chunks: ChunkStore;
  statements: StatementStore;
  overlay: Overlay;
  room: Room;
  counters: Counters;
  links: readonly EdgeLink[];
  relayLinks: RelayLinks;
  relay: Relay | null;
  pledge: Pledge;
  name: string | null;
  diskReserveBytes: number;
  freeDiskBytes: () => Promise<number>;
  onlineSince: string;
  url: string | null;
  page: string | null;
  intent: Intent;
  drain: Drain;
  scrub: Scrub;
}

/** For anybody. */
export async function publicStatusOf(sources: StatusSources): Promise<PublicNodeStatus> {
  const { identity, chunks, statements, overlay, room, onlineSince, url } = sources;
  return {
    kind: "home-node",
    id: identity.id,
    key: identity.key,
    software: SOFTWARE,
    url,
    chunks: chunks.totals.chunks,
    versions: statements.size,
    contacts: overlay.contacts.size,
    usedBytes: room.usedBytes,
    freeBytes: await room.freeBytes(),
    onlineSince,
  };
}

/** For the volunteer: strangers have no business with whom the node serves, how much, and by which edges. */
export async function localStatusOf(sources: StatusSources): Promise<LocalNodeStatus> {
  const { page, pledge, name, diskReserveBytes, freeDiskBytes, counters, intent, drain, scrub } = sources;
  const { links, relayLinks, relay, url } = sources;
  const { announced, records } = sources.overlay.report;
  const { awayUntil, leavingSince, lostSince } = intent;
  return {
    ...(await publicStatusOf(sources)),
    page,
    awayUntil,
    leaving: leavingSince === null ? null : { since: leavingSince, ...drain.progress },
    scrub: scrub.report,
    lostSince,
    pledge,
    name,
    disk: { freeBytes: await freeDiskBytes(), reserveBytes: diskReserveBytes },
    ...counters.report(),
    overlay: { announced, records },
    edges: links.map((link) => link.status()),
    relays: relayLinks.report(),
    relayed: url === null ? null : (relay?.nodes ?? null),
  };
}
