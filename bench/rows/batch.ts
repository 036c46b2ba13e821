// Many small objects at once: a thousand of 16 KiB, each a name, a Version, a Manifest and a chunk of its own.

import { type Figure, plainFigure, type Row } from "../figure.ts";
import { startNetwork } from "../holdfast.ts";
import { BARE_ROUTE, bareRoute, REQUESTS } from "../limits/bare-route.ts";
import { Contestant, inTurn, perSecond } from "../measure.ts";
import { needs } from "../requires.ts";
import type { Rig } from "../rig.ts";
import { timeBatch } from "../small-objects.ts";

const COUNT = 1000;
const OBJECT_BYTES = 16 * 1024;
const AIM = { atLeast: 2000 };

export const batchRows: Row[] = [{ id: "batch", obstacle: needs(), measure }];

async function measure(rig: Rig): Promise<Figure[]> {
  const network = await startNetwork(rig, { nodes: 1, relayed: false });
  const limit = await bareRoute(rig);
  const batch = { prefix: "", count: COUNT, sizeBytes: OBJECT_BYTES };
  const publish = new Contestant(() => timeBatch(rig, network, "publish", batch));
  const fetch = new Contestant(() => timeBatch(rig, network, "fetch", batch));
  await inTurn(rig.runs, [fetch, limit], async (run) => {
    rig.sayRun(run);
    batch.prefix = `batch-${run}`;
    await publish.run();
  });
  const bare = { what: BARE_ROUTE, samples: perSecond(REQUESTS, limit) };
  const what = `${COUNT} objects of 16 KiB, direct, replicas: 1`;
  return [
    {
      ...plainFigure("batch/publish", `publish ${what}`, "/s", perSecond(COUNT, publish)),
      limit: bare,
      aim: AIM,
    },
    { ...plainFigure("batch/fetch", `fetch ${what}`, "/s", perSecond(COUNT, fetch)), limit: bare, aim: AIM },
  ];
}
