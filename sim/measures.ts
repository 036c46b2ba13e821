// What is measured of the home nodes.

import type { Read } from "./reads.ts";
import type { World } from "./world.ts";

const MOST = 0.999;

export interface TableFigures {
  /** Nodes in a table, and shares of them that are hostile or gone, in the tables of honest nodes. */
  contacts: number;
  hostile: number;
  gone: number;
}

export interface ReadFigures {
  lookups: number;
  /** Share of the look-ups that ended with the chunk. */
  found: number;
  hopsMean: number;
  /** Of 999 in 1,000 that found it, the most hops. */
  hopsOfMost: number;
  hopsMax: number;
  callsMean: number;
  callsMax: number;
  secondsMedian: number;
  /** Of the k nodes closest to a chunk, those that have a record of it. */
  records: number;
}

export function measureTables(world: World): TableFigures {
  const { population } = world;
  const sums = { contacts: 0, hostile: 0, gone: 0 };
  let tables = 0;
  for (const { contact, table } of world.presentNodes()) {
    if (!population.isHonest(contact.index)) continue;
    tables += 1;
    for (const { index } of table.contacts()) {
      sums.contacts += 1;
      if (!population.isHonest(index)) sums.hostile += 1;
      if (!population.isPresent(index)) sums.gone += 1;
    }
  }
  const { contacts, hostile, gone } = sums;
  return { contacts: contacts / tables, hostile: hostile / contacts, gone: gone / contacts };
}

export function measureReads(reads: readonly Read[]): ReadFigures {
  const found = reads.filter(({ isFound }) => isFound);
  return {
    lookups: reads.length,
    found: found.length / reads.length,
    hopsOfMost: quantile(
      found.map(({ hops }) => hops),
      MOST,
    ),
    hopsMean: mean(found.map(({ hops }) => hops)),
    hopsMax: max(found.map(({ hops }) => hops)),
    callsMean: mean(reads.map(({ calls }) => calls)),
    callsMax: max(reads.map(({ calls }) => calls)),
    secondsMedian:
      quantile(
        found.map(({ tookMs }) => tookMs),
        0.5,
      ) / 1000,
    records: mean(reads.map(({ records }) => records)),
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function max(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

/** The least value that such a share of the values does not exceed. */
function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? 0;
}
