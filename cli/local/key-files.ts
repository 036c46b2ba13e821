// A key pair as `ssh-keygen -t ed25519 -N ''` makes it, for machines that have no OpenSSH.

import { randomBytes, randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { importSigner } from "../../lib/ed25519.ts";
import { encodePublicKeyBlob, formatPrivateKeyFile, formatPublicKeyLine } from "../../lib/openssh-key.ts";

const PRIVATE_MODE = 0o600;

/** Writes `file` and `file`.pub, unless they are there. */
export async function makeKeyFiles(file: string, comment: string): Promise<void> {
  if (existsSync(`${file}.pub`)) return;
  const seed = randomBytes(32);
  const { publicKey } = await importSigner(seed);
  const blob = encodePublicKeyBlob(publicKey);
  const text = formatPrivateKeyFile({ seed, blob }, comment, randomInt(2 ** 32));
  await writeFile(file, text, { mode: PRIVATE_MODE });
  await writeFile(`${file}.pub`, `${formatPublicKeyLine(blob, comment)}\n`);
}
