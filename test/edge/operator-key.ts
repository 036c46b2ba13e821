// The key of the operator of the edge under test.

import { importSigner } from "../../lib/ed25519.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";

export async function operatorSigner(): Promise<StatementSigner> {
  return createStatementSigner(await importSigner(new Uint8Array(32).fill(77)));
}
