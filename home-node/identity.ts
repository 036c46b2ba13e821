// The node's identity: an unencrypted OpenSSH Ed25519 key at <dir>/identity, made on the first start. ssh-keygen
// reads it; its public key blob's SHA-256 is the node's id. A daemon starts unattended, so no passphrase.

import { randomBytes, randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { importSigner } from "../lib/ed25519.ts";
import { HoldfastError } from "../lib/error.ts";
import type { NodeId } from "../lib/hash.ts";
import {
  encodePublicKeyBlob,
  formatPrivateKeyFile,
  formatPublicKeyText,
  type KeyPair,
  nodeIdOf,
  parsePrivateKeyFile,
} from "../lib/openssh-key.ts";
import { createStatementSigner, type StatementSigner } from "../lib/sshsig.ts";
import { isFileError, writeDurably } from "./store/durable-file.ts";

export const IDENTITY_FILE = "identity";
const IDENTITY_MODE = 0o600;
const SEED_BYTES = 32;

export interface Identity {
  id: NodeId;
  /** SSH public key blob in base64. */
  key: string;
  signer: StatementSigner;
}

/** Loads the identity in `dir`, or makes one. Throws `invalid-key` for a file that is not an unencrypted Ed25519 key. */
export async function loadIdentity(dir: string): Promise<Identity> {
  const pair = (await readIdentity(dir)) ?? (await makeIdentity(dir));
  return {
    id: nodeIdOf(pair.blob),
    key: formatPublicKeyText(pair.blob),
    signer: createStatementSigner(await importSigner(pair.seed)),
  };
}

async function readIdentity(dir: string): Promise<KeyPair | null> {
  let text: string;
  try {
    text = await readFile(join(dir, IDENTITY_FILE), "utf8");
  } catch (error) {
    if (isFileError(error, "ENOENT")) return null;
    throw error;
  }
  const pair = parsePrivateKeyFile(text);
  if (pair === null) {
    throw new HoldfastError(
      "invalid-key",
      "the identity is encrypted: remove its passphrase with ssh-keygen -p",
    );
  }
  return pair;
}

async function makeIdentity(dir: string): Promise<KeyPair> {
  const seed = new Uint8Array(randomBytes(SEED_BYTES));
  const { publicKey } = await importSigner(seed);
  const pair = { seed, blob: encodePublicKeyBlob(publicKey) };
  const text = formatPrivateKeyFile(pair, "holdfast home node", randomInt(2 ** 32));
  await writeDurably(
    join(dir, `${IDENTITY_FILE}.new`),
    join(dir, IDENTITY_FILE),
    [new TextEncoder().encode(text)],
    {
      mode: IDENTITY_MODE,
    },
  );
  return pair;
}
