// What redundancy by Reed-Solomon costs: the arithmetic alone, beside SHA-256 of the same data; and reads of an object some
// of whose holders are gone, beside the same read with all of them there.

import { join } from "node:path";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { type Figure, type Limit, plainFigure, type Row } from "../figure.ts";
import { getArgs, holdfast, IDLE_ARGS, publishStripedArgs, startNetwork } from "../holdfast.ts";
import { BYTES_PER_MIB, Contestant, inTurn, rates } from "../measure.ts";
import { timeBenchProgram } from "../processes.ts";
import { writeRandomFile } from "../random-file.ts";
import { CODEC_SCHEME, type CodecInput, READ_SCHEME } from "../redundancy.ts";
import { needs } from "../requires.ts";
import type { Rig } from "../rig.ts";

const CODEC = "redundancy/codec";
const READ = "redundancy/read";
const CODEC_BYTES = 256 * BYTES_PER_MIB;
const OBJECT_BYTES = 128 * BYTES_PER_MIB;
const FILE = "object";

export const redundancyRows: Row[] = [
  { id: CODEC, obstacle: needs(), measure: measureCodec },
  { id: READ, obstacle: needs(), measure: measureReads },
];

async function measureCodec(rig: Rig): Promise<Figure[]> {
  const sizeBytes = rig.sizeBytes(CODEC_BYTES);
  const timed = (work: CodecInput["work"], lost = 0) =>
    new Contestant(() => timeBenchProgram(rig, "reed-solomon", { work, lost, sizeBytes }));
  const { data, parity } = CODEC_SCHEME;
  const [encode, one, all] = [timed("encode"), timed("decode", 1), timed("decode", parity)];
  const [hash, copy] = [timed("hash"), timed("copy")];
  await inTurn(rig.runs, [encode, one, all, hash, copy], async (run) => rig.sayRun(run));
  const limit: Limit = { what: "SHA-256 of the data in Node", samples: rates(sizeBytes, hash) };
  const figure = (part: string, what: string, samples: number[]) => ({
    ...plainFigure(`${CODEC}/${part}`, `${data}+${parity}, ${what}`, "MB/s", samples),
    limit,
  });
  return [
    figure("encode", "parity of the data", rates(sizeBytes, encode)),
    figure("decode-1", "data with 1 chunk lost", rates(sizeBytes, one)),
    figure(`decode-${parity}`, `data with ${parity} chunks lost`, rates(sizeBytes, all)),
    plainFigure(`${CODEC}/copy`, "a plain copy of the data in memory", "MB/s", rates(sizeBytes, copy)),
  ];
}

/** Nodes are killed one by one: each loss is measured in runs of its own. */
async function measureReads(rig: Rig): Promise<Figure[]> {
  const { data, parity } = READ_SCHEME;
  const sizeBytes = rig.sizeBytes(OBJECT_BYTES);
  const network = await startNetwork(rig, { nodes: data + parity, relayed: false });
  const file = join(rig.dir, FILE);
  await writeRandomFile(file, FILE, sizeBytes);
  await holdfast(rig, network, publishStripedArgs(network, file, FILE, `${data}+${parity}`));
  const figures: Figure[] = [];
  for (let lost = 0; lost <= parity; lost++) {
    if (lost > 0) network.nodes[lost - 1]?.process.kill("SIGKILL");
    const samples = await timeReads(rig, network, lost, sizeBytes);
    const what = `verified fetch, direct, ${data}+${parity}, holders lost: ${lost}`;
    const healthy = figures[0]?.samples;
    const limit = healthy === undefined ? null : { what: "the same with none lost", samples: healthy };
    figures.push({ ...plainFigure(`${READ}/lost-${lost}`, what, "MB/s", samples), limit });
  }
  return figures;
}

async function timeReads(
  rig: Rig,
  network: LocalNetwork,
  lost: number,
  sizeBytes: number,
): Promise<number[]> {
  const startUp = new Contestant(() => holdfast(rig, network, IDLE_ARGS));
  const read = new Contestant(() => holdfast(rig, network, getArgs(FILE)));
  await inTurn(rig.runs, [startUp, read], async (run) =>
    rig.say(`${lost} lost, run ${run + 1} of ${rig.runs}`),
  );
  return rates(sizeBytes, read, startUp);
}
