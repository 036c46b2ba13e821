// What one request costs by itself: a hono route that answers five bytes, in the same runtime behind the same
// `wrangler dev` as the edge, asked by the same client over as many connections.

import { Contestant } from "../measure.ts";
import { timeBenchProgram } from "../processes.ts";
import type { Rig } from "../rig.ts";
import { startBareWorker } from "./bare-worker.ts";

export const BARE_ROUTE = "bare hono route";
export const CONNECTIONS = 8;
export const REQUESTS = 5000;

/** Asks for `urls` in turn, REQUESTS times. */
export function requests(rig: Rig, urls: string[]): Contestant {
  const input = { urls, count: REQUESTS, connections: CONNECTIONS };
  return new Contestant(() => timeBenchProgram(rig, "requests", input));
}

export async function bareRoute(rig: Rig): Promise<Contestant> {
  return requests(rig, [`${await startBareWorker(rig)}/hello`]);
}
