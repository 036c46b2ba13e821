// Reading one large object, verified: by `holdfast get` from its holders, and by curl from the edge's /obj. The bytes
// go to /dev/null or into openssl, on both sides of each comparison. Every run reads another object, once: an edge
// keeps in its cache what is read again and again, and would answer from there.

import { join } from "node:path";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { type Aim, type Figure, type Limit, type MissingLimit, plainFigure, type Row } from "../figure.ts";
import {
  getArgs,
  holdfast,
  IDLE_ARGS,
  objectUrl,
  publishArgs,
  type Shape,
  startNetwork,
} from "../holdfast.ts";
import { BARE_RELAY, relayedRead, startBareRelay } from "../limits/bare-worker.ts";
import { curlAndHash, NGINX, NGINX_NEEDS, opensslAlone, startNginx } from "../limits/nginx.ts";
import { BYTES_PER_MIB, Contestant, inTurn, rates } from "../measure.ts";
import { writeRandomFile } from "../random-file.ts";
import { missingPrograms, needs } from "../requires.ts";
import type { Rig } from "../rig.ts";

const OBJECT_BYTES = 256 * BYTES_PER_MIB;
const FILE = "object";
const PIPE_NEEDS = ["curl", "openssl"];

interface Reading {
  id: string;
  by: "get" | "obj";
  shape: Shape;
  aim: Aim | null;
}

/** The object that is read in this run. */
interface Current {
  name: string;
  digest: string;
}

/** How the limit is measured; the contestant is null where programs for it are missing. */
interface LimitPlan {
  what: string;
  missing: string[];
  contestant: Contestant | null;
}

export const readRows: Row[] = [
  readRow("get", { nodes: 1, relayed: false }, { ratioAtLeast: 0.9 }),
  readRow("get", { nodes: 3, relayed: false }, { ratioAtLeast: 0.9 }),
  readRow("get", { nodes: 1, relayed: true }, { ratioAtLeast: 0.8 }),
  readRow("get", { nodes: 3, relayed: true }, { ratioAtLeast: 0.8 }),
  readRow("obj", { nodes: 1, relayed: false }, null),
  readRow("obj", { nodes: 1, relayed: true }, { ratioAtLeast: 0.8 }),
  readRow("obj", { nodes: 3, relayed: true }, { ratioAtLeast: 0.8 }),
];

/** Each node holds every chunk. */
function readRow(by: Reading["by"], shape: Shape, aim: Aim | null): Row {
  const id = `${by}/${shape.relayed ? "relayed" : "direct"}-${shape.nodes}`;
  const obstacle = by === "obj" ? needs(...PIPE_NEEDS) : needs();
  return { id, obstacle, measure: (rig) => measure(rig, { id, by, shape, aim }) };
}

async function measure(rig: Rig, reading: Reading): Promise<Figure[]> {
  const { id, by, shape } = reading;
  const sizeBytes = rig.sizeBytes(OBJECT_BYTES);
  const network = await startNetwork(rig, shape);
  const current: Current = { name: "", digest: "" };
  const startUp = by === "get" ? new Contestant(() => holdfast(rig, network, IDLE_ARGS)) : null;
  const read = by === "get" ? getting(rig, network, current) : curling(rig, network, current);
  const plan = shape.relayed ? await relayLimit(rig, sizeBytes) : await nginxLimit(rig, current);
  const hashing = missingPrograms(["openssl"]).length === 0 ? opensslAlone(rig, join(rig.dir, FILE)) : null;
  await inTurn(rig.runs, [startUp, read, plan.contestant, hashing], async (run) => {
    rig.sayRun(run);
    current.name = `${id}-${run}`;
    current.digest = await publishOnce(rig, network, current.name, shape.nodes, sizeBytes);
  });
  const figures = [withLimit(reading, rates(sizeBytes, read, startUp), plan, sizeBytes)];
  const more = (part: string, what: string, timed: Contestant) =>
    figures.push(plainFigure(`${id}/${part}`, what, "MB/s", rates(sizeBytes, timed)));
  if (startUp !== null) more("command", "the same, with the command's start", read);
  if (hashing !== null) more("openssl", "openssl dgst of the file alone", hashing);
  return figures;
}

function getting(rig: Rig, network: LocalNetwork, current: Current): Contestant {
  return new Contestant(() => holdfast(rig, network, getArgs(current.name)));
}

function curling(rig: Rig, network: LocalNetwork, current: Current): Contestant {
  return curlAndHash(rig, () => ({ url: objectUrl(network, current.name), digest: current.digest }));
}

/** Returns the SHA-256 of the file that was published. */
async function publishOnce(
  rig: Rig,
  network: LocalNetwork,
  name: string,
  replicas: number,
  sizeBytes: number,
): Promise<string> {
  const file = join(rig.dir, FILE);
  const digest = await writeRandomFile(file, name, sizeBytes);
  await holdfast(rig, network, publishArgs(network, file, name, replicas));
  return digest;
}

async function nginxLimit(rig: Rig, current: Current): Promise<LimitPlan> {
  const missing = missingPrograms(NGINX_NEEDS);
  if (missing.length > 0) return { what: NGINX, missing, contestant: null };
  const url = `${await startNginx(rig)}/${FILE}`;
  return { what: NGINX, missing, contestant: curlAndHash(rig, () => ({ url, digest: current.digest })) };
}

async function relayLimit(rig: Rig, sizeBytes: number): Promise<LimitPlan> {
  const what = `${BARE_RELAY}, curl | openssl`;
  const missing = missingPrograms(PIPE_NEEDS);
  if (missing.length > 0) return { what, missing, contestant: null };
  return { what, missing, contestant: relayedRead(rig, await startBareRelay(rig), sizeBytes) };
}

function withLimit(reading: Reading, samples: number[], plan: LimitPlan, sizeBytes: number): Figure {
  const { id, by, shape, aim } = reading;
  const verb = by === "get" ? "verified fetch" : "/obj by curl | openssl";
  const what = `${verb}, ${shape.relayed ? "relayed" : "direct"}, holders: ${shape.nodes}`;
  return { ...plainFigure(id, what, "MB/s", samples), limit: limitOf(plan, sizeBytes), aim };
}

function limitOf({ what, missing, contestant }: LimitPlan, sizeBytes: number): Limit | MissingLimit {
  return contestant === null ? { what, missing } : { what, samples: rates(sizeBytes, contestant) };
}
