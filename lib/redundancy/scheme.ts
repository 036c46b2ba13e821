// Redundancy as people write it: 10+6 is stripes of ten chunks with six parity chunks each.

import { HoldfastError } from "../error.ts";
import { type Redundancy, STRIPE_DATA_MAX, STRIPE_PARITY_MAX, type Striping } from "../manifest.ts";

const SCHEME = /^([1-9]\d?)\+([1-9]\d?)$/;

/** Throws `invalid-request`. */
export function parseStriping(text: string): Striping {
  const [, data, parity] = SCHEME.exec(text) ?? [];
  const striping = { data: Number(data), parity: Number(parity) };
  if (striping.data <= STRIPE_DATA_MAX && striping.parity <= STRIPE_PARITY_MAX) return striping;
  throw new HoldfastError(
    "invalid-request",
    `expected data and parity chunks such as 10+6, at most ${STRIPE_DATA_MAX}+${STRIPE_PARITY_MAX}`,
  );
}

export function formatRedundancy(redundancy: Redundancy): string {
  return "replicas" in redundancy
    ? `${redundancy.replicas} ${redundancy.replicas === 1 ? "replica" : "replicas"}`
    : `${redundancy.data}+${redundancy.parity}`;
}
