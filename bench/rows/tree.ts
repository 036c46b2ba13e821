// A tree of many small files, as repositories and sites are: published by the command, and published again unchanged.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Figure, plainFigure, type Row } from "../figure.ts";
import { settleFileMaking } from "../file-making.ts";
import { environmentOf, holdfast, IDLE_ARGS, objectName, publishArgs, startNetwork } from "../holdfast.ts";
import { Contestant, inTurn, median, perSecond } from "../measure.ts";
import { timeBenchProgram } from "../processes.ts";
import { writeRandomFile } from "../random-file.ts";
import { needs } from "../requires.ts";
import type { Rig } from "../rig.ts";

const ID = "tree";
const FILES = 10_000;
const FILES_PER_FOLDER = 100;
const FILE_BYTES = { min: 1024, max: 20 * 1024 };
/** Prime, so that sizes do not repeat in the order of the files. */
const STRIDE = 7919;
const HASH_TREE = "read + hash of each file in Node";

export const treeRows: Row[] = [{ id: ID, obstacle: needs(), measure }];

async function measure(rig: Rig): Promise<Figure[]> {
  await settleFileMaking(rig.dir, (line) => rig.say(line));
  const network = await startNetwork(rig, { nodes: 1, relayed: false });
  let [name, dir] = ["", ""];
  const startUp = new Contestant(() => holdfast(rig, network, IDLE_ARGS));
  const publish = new Contestant(() => holdfast(rig, network, publishArgs(network, dir, name, 1)));
  const again = new Contestant(() => holdfast(rig, network, publishArgs(network, dir, name, 1)));
  const fetched = new Contestant(() =>
    holdfast(rig, network, ["get", "-r", objectName(name), "-o", join(rig.dir, `${name}-out`)]),
  );
  const limit = new Contestant(() =>
    timeBenchProgram(rig, "hash-tree", { dir }, { env: environmentOf(network) }),
  );
  await inTurn(rig.runs, [startUp, limit, again, fetched], async (run) => {
    rig.sayRun(run);
    name = `${ID}-${run}`;
    dir = join(rig.dir, name);
    await writeFiles(dir, name);
    await publish.run();
  });
  const files = (timed: Contestant) =>
    timed.seconds.map((seconds) => FILES / (seconds - median(startUp.seconds)));
  const what = `${FILES} files of 1 to 20 KiB, direct, replicas: 1`;
  return [
    { ...plainFigure(`${ID}/publish`, `publish ${what}`, "/s", files(publish)), aim: { atLeast: 500 } },
    {
      ...plainFigure(`${ID}/republish`, `publish again, unchanged: ${what}`, "/s", files(again)),
      limit: { what: HASH_TREE, samples: perSecond(FILES, limit) },
      aim: { atLeast: 5000 },
    },
    plainFigure(`${ID}/get`, `get -r of ${what}`, "/s", files(fetched)),
  ];
}

/**
 * In a folder of their own, so that nothing is deleted between two runs (file-making.ts). Sizes are spread evenly, and follow
 * from the name and the number as the bytes do.
 */
async function writeFiles(dir: string, seed: string): Promise<void> {
  const span = FILE_BYTES.max - FILE_BYTES.min;
  for (let i = 0; i < FILES; i++) {
    const folder = join(dir, String(Math.floor(i / FILES_PER_FOLDER)));
    if (i % FILES_PER_FOLDER === 0) await mkdir(folder, { recursive: true });
    const sizeBytes = FILE_BYTES.min + ((i * STRIDE) % span);
    await writeRandomFile(join(folder, String(i)), `${seed} ${i}`, sizeBytes);
  }
}
