// The user's signing key, from --key, HOLDFAST_KEY or the configuration: an unencrypted OpenSSH key signs in this
// process; an encrypted one, or a .pub whose private half an agent holds, through ssh-keygen.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { promisify } from "node:util";
import { parseJson } from "../lib/canonical-json.ts";
import { importSigner } from "../lib/ed25519.ts";
import { HoldfastError } from "../lib/error.ts";
import { parsePrivateKeyFile, parsePublicKeyLine } from "../lib/openssh-key.ts";
import { emailSchema, parseWith } from "../lib/schema.ts";
import { createStatementSigner, type StatementSigner } from "../lib/sshsig.ts";
import type { SignedStatement } from "../lib/statement.ts";
import { parseSigned, parseSignedJson } from "../lib/wire/signed.ts";
import type { Settings } from "./settings.ts";
import { createKeygenSigner } from "./ssh-keygen.ts";

const PRIVATE_BEGIN = "-----BEGIN";
const PUBLIC_BEGIN = /^ssh-/;
const DELEGATION_FILE_MAX = 16 * 1024;

/** Throws `invalid-key`, saying what to set or to change. */
export async function loadSigner({ key }: Pick<Settings, "key">): Promise<StatementSigner> {
  if (key === null) {
    throw new HoldfastError(
      "invalid-key",
      "no signing key is set: give --key FILE, or set HOLDFAST_KEY (ssh-keygen -t ed25519 makes a key)",
    );
  }
  if (key.trimStart().startsWith(PRIVATE_BEGIN)) return signerOfText(key);
  const path = expandHome(key);
  const text = await readKeyFile(path);
  if (PUBLIC_BEGIN.test(text))
    return createKeygenSigner(path, parsePublicKeyLine(text.split("\n")[0] ?? "").blob);
  return (await inProcessSigner(text)) ?? createKeygenSigner(path, await publicHalfOf(path));
}

/** The public key blob in a file: of a .pub, or of the .pub beside a private key. */
export async function readPublicKey(path: string): Promise<Uint8Array> {
  const text = await readKeyFile(expandHome(path));
  if (!PUBLIC_BEGIN.test(text)) {
    throw new HoldfastError("invalid-key", `${path} is no public key: name the .pub file`);
  }
  return parsePublicKeyLine(text.split("\n")[0] ?? "").blob;
}

/** --author or the configuration, else git's user.email. */
export async function loadAuthor({ author }: Pick<Settings, "author">): Promise<string> {
  const email = author ?? (await gitEmail());
  if (email === "") {
    throw new HoldfastError(
      "invalid-request",
      "no author is set: give --author EMAIL, or set it for git: git config --global user.email EMAIL",
    );
  }
  return parseWith(emailSchema, email, "invalid-request");
}

/** The delegation in a file, as `domain delegate` writes it; null where none is set. Throws `invalid-request`. */
export async function loadDelegation({
  delegation: path,
}: Pick<Settings, "delegation">): Promise<SignedStatement | null> {
  if (path === null) return null;
  const bytes = await readFile(expandHome(path)).catch((cause: unknown) => {
    throw new HoldfastError("invalid-request", `cannot read the delegation ${path}`, { cause });
  });
  try {
    return parseSigned(parseSignedJson(parseJson(bytes, DELEGATION_FILE_MAX)));
  } catch (cause) {
    throw new HoldfastError("invalid-request", `${path} is no delegation`, { cause });
  }
}

async function signerOfText(text: string): Promise<StatementSigner> {
  const signer = await inProcessSigner(text);
  if (signer !== null) return signer;
  throw new HoldfastError(
    "invalid-key",
    "the key in HOLDFAST_KEY is encrypted: set HOLDFAST_KEY to its file's path, so that ssh-keygen can ask for the passphrase",
  );
}

async function inProcessSigner(text: string): Promise<StatementSigner | null> {
  const pair = parsePrivateKeyFile(text);
  return pair === null ? null : createStatementSigner(await importSigner(pair.seed));
}

async function publicHalfOf(path: string): Promise<Uint8Array> {
  try {
    return await readPublicKey(`${path}.pub`);
  } catch (cause) {
    throw new HoldfastError(
      "invalid-key",
      `${path} is encrypted and has no ${path}.pub beside it: ssh-keygen -y -f ${path} > ${path}.pub writes one`,
      { cause },
    );
  }
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? cause.code : "unreadable";
    throw new HoldfastError("invalid-key", `cannot read the key ${path} (${reason})`, { cause });
  }
}

async function gitEmail(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("git", ["config", "user.email"]);
    return stdout.trim();
  } catch (error) {
    // git exits with 1 where nothing is set; ENOENT where there is no git.
    if (error instanceof Error) return "";
    throw error;
  }
}

function expandHome(path: string): string {
  return path.startsWith("~/") ? `${homedir()}${path.slice(1)}` : path;
}
