// What the rows about redundancy and their programs agree on.

import type { Striping } from "../lib/manifest.ts";

export const CODEC_SCHEME: Striping = { data: 10, parity: 6 };

/** Read over a network of as many nodes as a stripe has positions: each loses one chunk of every stripe. */
export const READ_SCHEME: Striping = { data: 3, parity: 2 };

export interface CodecInput {
  work: "encode" | "decode" | "hash" | "copy";
  /** Data chunks to make anew. */
  lost: number;
  sizeBytes: number;
}
