// What cutting and hashing cost by themselves, in one thread: no publish can be faster than the slower of the two.

import { type Figure, plainFigure, type Row } from "../figure.ts";
import { BYTES_PER_MIB, Contestant, inTurn, rates } from "../measure.ts";
import { timeBenchProgram } from "../processes.ts";
import { needs } from "../requires.ts";
import type { Rig } from "../rig.ts";

const BLOCKS_BYTES = 256 * BYTES_PER_MIB;

export const orientationRows: Row[] = [{ id: "chunker", obstacle: needs(), measure }];

async function measure(rig: Rig): Promise<Figure[]> {
  const sizeBytes = rig.sizeBytes(BLOCKS_BYTES);
  const chunk = new Contestant(() => timeBenchProgram(rig, "chunker", { work: "chunk", sizeBytes }));
  const hash = new Contestant(() => timeBenchProgram(rig, "chunker", { work: "hash", sizeBytes }));
  await inTurn(rig.runs, [chunk, hash], async (run) => rig.sayRun(run));
  return [
    plainFigure("chunker", "chunker alone, from memory", "MB/s", rates(sizeBytes, chunk)),
    plainFigure("chunker/hash", "SHA-256 of 1 MiB blocks in Node", "MB/s", rates(sizeBytes, hash)),
  ];
}
