// Where a publisher's receipts outlive its process, from a home node's answer until the edge has them. A host may bring
// one; without it, a publish that was broken off sends the last window again.

import type { SignedJson } from "../wire/signed.ts";

export interface ReceiptKeeper {
  /** What an earlier run for the same domain was given and did not hand over. */
  earlier(): Promise<SignedJson[]>;
  /** Chunks count as sent only when their receipt is kept. */
  keep(receipt: SignedJson): Promise<void>;
  /** The edge has these, or will never take them. */
  release(receipts: readonly SignedJson[]): Promise<void>;
}
