// What the edge with peers, its peers and its tests agree on: eight peers that do as a test says, and a domain in DNS.

import { importSigner } from "../../lib/ed25519.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";

export const PEER_ORIGINS = Array.from({ length: 8 }, (_, i) => `http://127.0.0.${11 + i}`);
/** A home node of a peer. */
export const NODE_ORIGIN = "http://127.0.0.30";
/** Takes the scripts, and says what was asked. */
export const SCRIPT_ORIGIN = "http://127.0.0.99";
export const PEERED_DOMAIN = "peered.example.org";

/** More than anybody takes. */
export const HUGE_BYTES = 24 * 1024 * 1024;

/** What an origin answers to requests whose path begins with `path`. */
export interface Scripted {
  origin: string;
  path: string;
  answer: {
    status?: number;
    body?: string;
    base64?: string;
    location?: string;
    /**
     * `ordinary`: as a peer does that knows nothing. `hang`: it says nothing. `huge`: HUGE_BYTES. `refuse`: of what is handed
     * over, all, with this code.
     */
    does?: "ordinary" | "hang" | "huge" | { refuse: string };
  };
}

/** A request that came to an origin. */
export interface Asked {
  origin: string;
  path: string;
  isFromPeer: boolean;
  body: string;
}

export async function peerSigner(peer: number): Promise<StatementSigner> {
  return createStatementSigner(await importSigner(new Uint8Array(32).fill(100 + peer)));
}

export async function domainSigner(): Promise<StatementSigner> {
  return createStatementSigner(await importSigner(new Uint8Array(32).fill(42)));
}
