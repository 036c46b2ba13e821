// Time that has passed for a network: the edge's tables, while it is down, and the files of home nodes are made older. The
// waits that collection is built on are hours and days.

import { readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { LocalNetwork } from "../../cli/local/network.ts";

/** Stops the edge, makes all that its shards know older, and starts it again. */
export async function passTimeAtEdge(network: LocalNetwork, ms: number): Promise<number> {
  await network.edge.stop();
  let references = 0;
  for (const entry of await readdir(join(network.dir, "edge"), { recursive: true })) {
    if (/PartitionShard.[0-9a-f]{64}\.sqlite$/.test(entry))
      references += makeOlder(join(network.dir, "edge", entry), ms);
  }
  await network.startEdge();
  return references;
}

function makeOlder(file: string, ms: number): number {
  const database = new DatabaseSync(file);
  try {
    database.prepare("UPDATE settings SET value = value - ? WHERE key IN ('born-at', 'made-at')").run(ms);
    database.prepare("UPDATE pins SET until = until - ?").run(ms);
    return Number(database.prepare("UPDATE refs SET since = since - ?").run(ms).changes);
  } finally {
    database.close();
  }
}

/** Makes every chunk in a home node's folder older. */
export async function passTimeAtNode(dir: string, ms: number): Promise<void> {
  const time = new Date(Date.now() - ms);
  for (const hash of await chunkFiles(dir)) await utimes(join(dir, "chunks", hash), time, time);
}

/** `<2 hex>/<hash>` of each. */
export async function chunkFiles(dir: string): Promise<string[]> {
  const entries = await readdir(join(dir, "chunks"), { recursive: true });
  return entries.filter((entry) => /[0-9a-f]{64}$/.test(entry));
}
