// Batches of small objects, published and fetched by bench/programs/small-objects.ts in a process of its own.

import type { LocalNetwork } from "../cli/local/network.ts";
import { SAMPLE_DOMAIN } from "../cli/local/network.ts";
import { nameHashOf, parseDomain, parseName } from "../lib/names.ts";
import { environmentOf } from "./holdfast.ts";
import { timeBenchProgram } from "./processes.ts";
import type { Rig } from "./rig.ts";

export interface Batch {
  /** Names are `<prefix>/<number>`; the bytes follow from the name. */
  prefix: string;
  count: number;
  sizeBytes: number;
}

/** Seconds for the whole batch, the start of the process not counted. */
export function timeBatch(
  rig: Rig,
  network: LocalNetwork,
  work: "publish" | "fetch",
  batch: Batch,
): Promise<number> {
  const input = { ...batch, work, domain: SAMPLE_DOMAIN, keyFile: network.sampleKeyFile };
  return timeBenchProgram(rig, "small-objects", input, { env: environmentOf(network) });
}

/** Where the edge answers what it knows of each name. */
export function nameUrls(network: LocalNetwork, { prefix, count }: Batch): string[] {
  const domain = parseDomain(SAMPLE_DOMAIN);
  const names = Array.from({ length: count }, (_, i) => parseName(`${prefix}/${i}`));
  return names.map((name) => `${network.edgeUrl}/name/${nameHashOf(domain, name)}?domain=${domain}`);
}
