// Looking names up at the edge, over several connections that are kept alive.

import { type Figure, plainFigure, type Row } from "../figure.ts";
import { startNetwork } from "../holdfast.ts";
import { BARE_ROUTE, bareRoute, CONNECTIONS, REQUESTS, requests } from "../limits/bare-route.ts";
import { inTurn, perSecond } from "../measure.ts";
import { needs } from "../requires.ts";
import type { Rig } from "../rig.ts";
import { nameUrls, timeBatch } from "../small-objects.ts";

/** Enough to lie in all of the local edge's shards. */
const BATCH = { prefix: "names", count: 64, sizeBytes: 1024 };

export const nameRows: Row[] = [{ id: "names", obstacle: needs(), measure }];

async function measure(rig: Rig): Promise<Figure[]> {
  const network = await startNetwork(rig, { nodes: 1, relayed: false });
  await timeBatch(rig, network, "publish", BATCH);
  const lookups = requests(rig, nameUrls(network, BATCH));
  const limit = await bareRoute(rig);
  await inTurn(rig.runs, [lookups, limit], async (run) => rig.sayRun(run));
  const what = `GET /name of ${BATCH.count} names, ${CONNECTIONS} connections`;
  return [
    {
      ...plainFigure("names", what, "/s", perSecond(REQUESTS, lookups)),
      limit: { what: BARE_ROUTE, samples: perSecond(REQUESTS, limit) },
    },
  ];
}
