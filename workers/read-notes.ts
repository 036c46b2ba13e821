// What reads through this worker show of home nodes, told to the index beside the answers: gathered for a moment in the
// isolate, so that a crowd of reads costs a call or two. What an isolate takes with it is found again by the audits.

import { waitUntil } from "cloudflare:workers";
import type { Check } from "../durable-objects/audits.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import { sightOf } from "../durable-objects/standings-table.ts";
import type { Hash, NodeId } from "../lib/hash.ts";

/** A holder that showed a chunk so lately is not noted again for it. */
export const CHECK_NOTED_MS = 60 * 60 * 1000;
const GATHERING_MS = 500;
/** A request that was to send what was gathered, and has not by then, has been cut off. */
const GATHERER_LOST_MS = 30_000;
const CHECKS_GATHERED_MAX = 1000;

let checks: Check[] = [];
let served = new Map<NodeId, number>();
let gatheringSinceMs = 0;

/** A holder gave a chunk. */
export function noteGiven(
  index: IndexClient,
  chunk: Hash,
  holder: { id: NodeId; checkedMs: number },
  sizeBytes: number,
): void {
  addTraffic(holder.id, sizeBytes);
  if (Date.now() - holder.checkedMs >= CHECK_NOTED_MS) addCheck({ chunk, node: holder.id, code: "passed" });
  sendSoon(index);
}

/** A holder says that it does not have a chunk, or gave something else. */
export function noteLoss(index: IndexClient, check: Check): void {
  addCheck(check);
  sendSoon(index);
}

/** A node gave a chunk through the relay, to somebody who named it. */
export function noteRelayed(index: IndexClient, node: NodeId, sizeBytes: number): void {
  addTraffic(node, sizeBytes);
  sendSoon(index);
}

function addCheck(check: Check): void {
  if (checks.length < CHECKS_GATHERED_MAX) checks.push(check);
}

function addTraffic(node: NodeId, sizeBytes: number): void {
  served.set(node, (served.get(node) ?? 0) + sizeBytes);
}

function sendSoon(index: IndexClient): void {
  if (Date.now() - gatheringSinceMs < GATHERER_LOST_MS) return;
  gatheringSinceMs = Date.now();
  waitUntil(gather(index));
}

async function gather(index: IndexClient): Promise<void> {
  await scheduler.wait(GATHERING_MS);
  gatheringSinceMs = 0;
  const [told, carried] = [checks, served];
  checks = [];
  served = new Map();
  try {
    if (told.length > 0) await index.noteChecks(told);
    if (carried.size > 0)
      await index.noteSights([...carried].map(([node, servedBytes]) => sightOf(node, { servedBytes })));
  } catch (error) {
    console.warn(`what reads showed of home nodes was not taken in: ${error}`);
  }
}
