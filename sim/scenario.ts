// One size: the network comes to be, chunks are stored and looked up, and what was counted becomes figures.

import { type EdgeFigures, EdgeMembership } from "./edge.ts";
import { arrivalsMax, grow, type OnProgress, readChunks, store } from "./life.ts";
import { measureReads, measureTables, type ReadFigures, type TableFigures } from "./measures.ts";
import type { Tally } from "./network.ts";
import { type Scene, World } from "./world.ts";

/** Share of a table that is gone where tables are drawn: about what joined networks have in churn. */
const GONE_SHARE = 0.15;

export interface Figures {
  nodes: number;
  tables: Scene["tables"];
  table: TableFigures;
  reads: ReadFigures;
  /** Calls that a node makes to join, and tables that take it in meanwhile; null where nobody joined. */
  joinCalls: number | null;
  introductions: number | null;
  announceCalls: number;
  edge: EdgeFigures;
}

export async function simulate(scene: Scene, onProgress: OnProgress): Promise<Figures> {
  const { nodes, tables } = scene;
  const joins = tables === "joined";
  const gone = joins ? 0 : Math.round((nodes * GONE_SHARE) / (1 - GONE_SHARE));
  const world = new World(scene, nodes + (joins ? arrivalsMax(nodes) : gone));
  if (joins) await world.clock.run(grow(world, onProgress));
  else world.populate({ present: nodes, gone });
  const edge = await measureEdge(world);
  const announcing: Tally = { calls: 0 };
  const chunks = await world.clock.run(store(world, announcing, onProgress));
  const reads = await world.clock.run(readChunks(world, chunks, joins, onProgress));
  const announcements = chunks.reduce((sum, { holders }) => sum + holders.length, 0);
  return {
    nodes,
    tables,
    table: measureTables(world),
    reads: measureReads(reads),
    joinCalls: joins ? world.joining.calls / world.joins : null,
    introductions: joins ? world.joining.taken / world.joins : null,
    announceCalls: announcing.calls / announcements,
    edge,
  };
}

function measureEdge({ scene, population, network }: World): Promise<EdgeFigures> {
  const edge = new EdgeMembership();
  for (const index of population.present) edge.add(population.contact(index));
  return edge.measure(scene.lookups, network.present);
}
