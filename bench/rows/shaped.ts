// Fetching from three holders whose uplinks are 100 Mbit/s each: does a reader use all of them at once? The row runs in
// a network of its own (a Linux network namespace), where traffic control shapes what each node sends: see
// bench/programs/shaped.ts. Nothing outside is shaped.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Figure, plainFigure, type Row } from "../figure.ts";
import { BYTES_PER_MB, BYTES_PER_MIB } from "../measure.ts";
import { benchProgram, run } from "../processes.ts";
import { missingPrograms } from "../requires.ts";
import type { Rig } from "../rig.ts";
import { HOLDERS, SHAPE_TRIAL, type ShapedInput, type ShapedResult, UPLINK_MBIT } from "../shaping.ts";

const ID = "get/shaped-3";
const OBJECT_BYTES = 256 * BYTES_PER_MIB;
const BITS_PER_BYTE = 8;
const UPLINKS_MB = (HOLDERS * UPLINK_MBIT * 1e6) / BITS_PER_BYTE / BYTES_PER_MB;

/** Whoever is not root is so in a namespace of users, where the kernel permits one. */
const UNSHARE = [
  ...["--net", "--pid", "--fork", "--kill-child"],
  ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
];

export const shapedRows: Row[] = [{ id: ID, obstacle, measure }];

async function obstacle(): Promise<string | null> {
  const missing = missingPrograms(["unshare", "ip", "tc"]);
  if (missing.length > 0) return `needs ${missing.join(", ")}`;
  try {
    await promisify(execFile)("unshare", [...UNSHARE, "sh", "-c", SHAPE_TRIAL]);
    return null;
  } catch (error) {
    return `needs a network namespace and traffic control (HTB): ${parseWords(error)}`;
  }
}

async function measure(rig: Rig): Promise<Figure[]> {
  const input: ShapedInput = { runs: rig.runs, sizeBytes: rig.sizeBytes(OBJECT_BYTES) };
  const program = [process.execPath, ...benchProgram("shaped"), JSON.stringify(input)];
  rig.say("measuring in a network namespace");
  const { stdout } = await run(rig, "unshare", [...UNSHARE, ...program], { env: { TMPDIR: rig.dir } });
  const { fetched, plain } = parseResult(JSON.parse(stdout));
  const limit = { what: `${HOLDERS} uplinks of ${UPLINK_MBIT} Mbit/s`, samples: [UPLINKS_MB] };
  return [
    {
      ...plainFigure(ID, `verified fetch, direct, holders: ${HOLDERS}, shaped`, "MB/s", fetched),
      limit,
      aim: { ratioAtLeast: 0.98 },
    },
    { ...plainFigure(`${ID}/tcp`, `plain TCP over the same ${HOLDERS} uplinks`, "MB/s", plain), limit },
  ];
}

function parseResult(value: unknown): ShapedResult {
  return value as ShapedResult;
}

/** What the trial said before it failed. */
function parseWords(error: unknown): string {
  return (error as { stderr?: string }).stderr?.trim() ?? String(error);
}
