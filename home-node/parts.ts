// What a home node is made of: its folder as it is read when the node starts, and what its host lends it.

import type { LookupFunction } from "node:net";
import type { Logger } from "pino";
import type { Fetch } from "../lib/fetch.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { NodeConfig } from "./config.ts";
import { Counters } from "./counters/counters.ts";
import { DenyList } from "./deny-list.ts";
import { loadIdentity } from "./identity.ts";
import { hasLostDisk, Intent } from "./leaving/intent.ts";
import type { ResolveHost } from "./overlay/networks.ts";
import { Epochs } from "./relay/epochs.ts";
import type { NodeAppDeps } from "./server/app.ts";
import { GrantCharges } from "./server/grant-charges.ts";
import { ChunkStore } from "./store/chunk-store.ts";
import { RemovalStore } from "./store/removal-store.ts";
import { freeDiskBytesOf, Room } from "./store/room.ts";
import { StatementStore } from "./store/statement-store.ts";
import { WriteLog } from "./store/write-log.ts";

export interface HomeNodeDeps {
  log: Logger;
  clock?: Clock;
  /** From 0 to below 1; for jitter, not for secrets. */
  random?: () => number;
  /** Asks the DNS-over-HTTPS resolvers. */
  fetch?: Fetch;
  /** Reads from nodes that an edge names, whose URLs are a stranger's word: to public addresses only. */
  strangerFetch?: Fetch;
  /** Resolves the hosts of nodes that strangers tell of: to public addresses only. */
  strangerLookup?: LookupFunction;
  /** An address of a host that a stranger named: limits count by its network. */
  resolveHost?: ResolveHost;
  freeDiskBytes?: (dir: string) => Promise<number>;
}

export interface Parts
  extends Pick<
    NodeAppDeps,
    "chunks" | "statements" | "removals" | "counters" | "denied" | "identity" | "clock" | "log"
  > {
  room: Room;
  intent: Intent;
  charges: GrantCharges;
  epochs: Epochs;
  freeDiskBytes: () => Promise<number>;
  writeLog: WriteLog;
  random: () => number;
  fetch: Fetch;
  strangerFetch: Fetch;
  strangerLookup: LookupFunction | undefined;
  resolveHost: ResolveHost | undefined;
  unlock: () => Promise<void>;
}

/** Reads what is on disk and makes the parts; nothing is reachable yet. */
export async function openParts(
  config: NodeConfig,
  deps: HomeNodeDeps,
  unlock: () => Promise<void>,
): Promise<Parts> {
  const { dir, pledge, diskReserveBytes } = config;
  const clock = deps.clock ?? systemClock;
  const intent = await Intent.load(dir, clock);
  if (config.lostDisk || hasLostDisk(dir)) {
    await intent.lose();
    deps.log.warn("the chunks that this node had are gone: its edges will hear of it");
  }
  const identity = await loadIdentity(dir);
  const freeDiskBytes = () => (deps.freeDiskBytes ?? freeDiskBytesOf)(dir);
  const room = new Room({ pledgedBytes: pledge.bytes, diskReserveBytes, freeDiskBytes });
  const writeLog = new WriteLog({ dir, log: deps.log });
  const chunks = new ChunkStore({ dir, writeLog, room, log: deps.log, clock });
  const statements = new StatementStore({ dir, writeLog, room, log: deps.log });
  const removals = new RemovalStore({ dir, writeLog, room, log: deps.log });
  const counters = new Counters({ dir, clock, log: deps.log });
  const epochs = await Epochs.load(dir);
  const denied = new DenyList(config.denyFile);
  await denied.load();
  const charges = new GrantCharges({ dir, clock, log: deps.log });
  await writeLog.start();
  await chunks.start();
  await statements.start();
  await removals.start();
  await counters.start();
  await charges.start();
  return {
    log: deps.log,
    random: deps.random ?? Math.random,
    clock,
    intent,
    identity,
    room,
    freeDiskBytes,
    chunks,
    statements,
    removals,
    counters,
    denied,
    charges,
    epochs,
    writeLog,
    unlock,
    fetch: deps.fetch ?? fetch,
    strangerFetch: deps.strangerFetch ?? fetch,
    strangerLookup: deps.strangerLookup,
    resolveHost: deps.resolveHost,
  };
}
