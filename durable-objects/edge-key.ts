// The edge's own key: it signs witnesses, and its hash is the edge id that registrations are bound to.

import { importSigner } from "../lib/ed25519.ts";
import { HoldfastError } from "../lib/error.ts";
import { type Hash, hashBytes } from "../lib/hash.ts";
import { parsePrivateKeyFile } from "../lib/openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../lib/sshsig.ts";

export interface EdgeKey {
  id: Hash;
  signer: StatementSigner;
}

let loaded: { text: string; key: Promise<EdgeKey> } | null = null;

/** Parses the deployment secret EDGE_KEY, once per isolate. */
export function edgeKey(text: string | undefined): Promise<EdgeKey> {
  if (text === undefined) {
    throw new HoldfastError(
      "internal",
      "EDGE_KEY is not set: `wrangler secret put EDGE_KEY < key`, an ssh-keygen ed25519 key",
    );
  }
  if (loaded?.text !== text) loaded = { text, key: importEdgeKey(text) };
  return loaded.key;
}

async function importEdgeKey(text: string): Promise<EdgeKey> {
  const pair = parsePrivateKeyFile(text);
  if (pair === null) throw new HoldfastError("internal", "EDGE_KEY must not be encrypted");
  const signer = createStatementSigner(await importSigner(pair.seed));
  return { id: hashBytes(signer.key), signer };
}
