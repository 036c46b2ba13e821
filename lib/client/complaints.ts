// What a reader found wrong with holders, told to the servers when the reading is over. They do not believe it: they read
// the chunk themselves. Of what went well nothing is told, because anybody could praise his own nodes.

import { isHoldfastError } from "../error.ts";
import { SUSPECTS_PER_POST_MAX, type SuspectRequest } from "../wire/chunks.ts";
import type { HolderFailure } from "./chunk-source.ts";
import type { Server } from "./server.ts";

/** That a node does not have a chunk, or gave something else: offline is not lost. */
const TOLD = ["not-found", "gone", "content-hash-mismatch", "length-mismatch"] as const;

export class Complaints {
  readonly #noted = new Map<string, SuspectRequest["chunks"][number]>();

  note({ hash, node, error }: HolderFailure): void {
    if (node === null || !isHoldfastError(error, ...TOLD)) return;
    if (this.#noted.size < SUSPECTS_PER_POST_MAX) this.#noted.set(`${hash} ${node}`, { hash, node });
  }

  /** Tells all servers, once; never throws, because a reader who has the bytes has no use for a failure. */
  async send(servers: readonly Server[]): Promise<void> {
    const chunks = [...this.#noted.values()];
    this.#noted.clear();
    if (chunks.length === 0) return;
    await Promise.allSettled(servers.map((server) => server.suspect({ chunks })));
  }
}
