// Uplinks on the loopback interface of a network namespace: what is sent from a set of ports passes one token bucket.

import { run } from "./processes.ts";
import type { Rig } from "./rig.ts";

export const HOLDERS = 3;
export const UPLINK_MBIT = 100;

/** What no filter takes to a class passes unshaped. */
const ROOT = "qdisc add dev lo root handle 1: htb default 0";
/** A bucket has to hold the largest packet of the loopback interface, 64 KiB; a full one is a hundredth of a second. */
const BUCKET = `htb rate ${UPLINK_MBIT}mbit ceil ${UPLINK_MBIT}mbit burst 128kb cburst 128kb quantum 65536`;
const LOOPBACK_UP = "ip link set lo up";

/** Succeeds where shaping is permitted and the kernel has what it takes. */
export const SHAPE_TRIAL = `${LOOPBACK_UP} && tc ${ROOT} && tc class add dev lo parent 1: classid 1:1 ${BUCKET}`;

export interface ShapedInput {
  runs: number;
  sizeBytes: number;
}

/** MB/s of each run. */
export interface ShapedResult {
  fetched: number[];
  plain: number[];
}

/** One uplink for each set of local ports, of which there are at most HOLDERS. */
export async function shapeUplinks(rig: Rig, uplinks: readonly (readonly number[])[]): Promise<void> {
  await tc(rig, ROOT);
  for (const [i, ports] of uplinks.entries()) {
    const uplink = `1:${i + 1}`;
    await tc(rig, `class add dev lo parent 1: classid ${uplink} ${BUCKET}`);
    for (const port of ports) {
      await tc(
        rig,
        `filter add dev lo parent 1: protocol ip u32 match ip sport ${port} 0xffff flowid ${uplink}`,
      );
    }
  }
}

async function tc(rig: Rig, words: string): Promise<void> {
  await run(rig, "tc", words.split(" "));
}
