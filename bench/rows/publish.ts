// Publishing one large object of random bytes: to home nodes directly, or through the edge to nodes that have no
// listener. Every run publishes other bytes, since chunks that are held already are not sent again.

import { join } from "node:path";
import { type Aim, type Figure, plainFigure, type Row } from "../figure.ts";
import { holdfast, IDLE_ARGS, publishArgs, type Shape, startNetwork } from "../holdfast.ts";
import { BARE_RELAY, relayedWrite, startBareRelay } from "../limits/bare-worker.ts";
import { HASH_COPY, hashCopy } from "../limits/hash-copy.ts";
import { BYTES_PER_MIB, Contestant, inTurn, rates } from "../measure.ts";
import { writeRandomFile } from "../random-file.ts";
import { needs } from "../requires.ts";
import type { Rig } from "../rig.ts";

const OBJECT_BYTES = 256 * BYTES_PER_MIB;

export const publishRows: Row[] = [
  publishRow({ nodes: 1, relayed: false }, { ratioAtLeast: 0.6 }),
  publishRow({ nodes: 3, relayed: false }, null),
  publishRow({ nodes: 1, relayed: true }, { ratioAtLeast: 0.8 }),
  publishRow({ nodes: 3, relayed: true }, { ratioAtLeast: 0.8 }),
];

/** As many replicas as there are nodes. */
function publishRow(shape: Shape, aim: Aim | null): Row {
  const id = `publish/${shape.relayed ? "relayed" : "direct"}-${shape.nodes}`;
  return { id, obstacle: needs(), measure: (rig) => measure(id, shape, aim, rig) };
}

async function measure(id: string, shape: Shape, aim: Aim | null, rig: Rig): Promise<Figure[]> {
  const sizeBytes = rig.sizeBytes(OBJECT_BYTES);
  const network = await startNetwork(rig, shape);
  const file = join(rig.dir, "object");
  const startUp = new Contestant(() => holdfast(rig, network, IDLE_ARGS));
  let published = 0;
  const publish = new Contestant(() =>
    holdfast(rig, network, publishArgs(network, file, `object-${++published}`, shape.nodes)),
  );
  const limit = await limitOf(rig, shape, file);
  await inTurn(rig.runs, [startUp, publish, limit], async (run) => {
    rig.sayRun(run);
    await writeRandomFile(file, `${id} ${run}`, sizeBytes);
  });
  const what = `publish, ${shape.relayed ? "relayed" : "direct"}, replicas: ${shape.nodes}`;
  return [
    {
      ...plainFigure(id, what, "MB/s", rates(sizeBytes, publish, startUp)),
      limit: { what: shape.relayed ? BARE_RELAY : HASH_COPY, samples: rates(sizeBytes, limit) },
      aim,
    },
    plainFigure(`${id}/command`, "the same, with the command's start", "MB/s", rates(sizeBytes, publish)),
  ];
}

async function limitOf(rig: Rig, { nodes, relayed }: Shape, file: string): Promise<Contestant> {
  return relayed ? relayedWrite(rig, await startBareRelay(rig), file, nodes) : hashCopy(rig, file);
}
