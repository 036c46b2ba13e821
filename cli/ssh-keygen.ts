// Signing with `ssh-keygen -Y sign`: for keys in an agent, and for encrypted ones. ssh-keygen asks for passphrases on
// the terminal itself, so this process never sees one.

import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { HoldfastError } from "../lib/error.ts";
import type { Namespace, StatementSigner } from "../lib/sshsig.ts";

/** A person may have to find the passphrase, or touch a security key. */
const SIGN_TIMEOUT_MS = 5 * 60 * 1000;

/** Signs with the key of `path` (private, or .pub with the private half in an agent), whose public blob is `blob`. */
export function createKeygenSigner(path: string, blob: Uint8Array): StatementSigner {
  return { key: blob, sign: (namespace, message) => runKeygen(path, namespace, message) };
}

async function runKeygen(path: string, namespace: Namespace, message: Uint8Array): Promise<string> {
  const child = spawn("ssh-keygen", ["-Y", "sign", "-n", namespace, "-f", path], {
    stdio: ["pipe", "pipe", "pipe"],
    timeout: SIGN_TIMEOUT_MS,
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  // ssh-keygen may end before it has read the message; its exit code then says why.
  child.stdin.on("error", () => undefined);
  child.stdin.end(message);
  try {
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    if (code === 0) return stdout;
    throw new HoldfastError("invalid-key", explain(path, stderr));
  } catch (error) {
    throw isMissing(error) ? keygenMissing(error) : error;
  }
}

function explain(path: string, stderr: string): string {
  const said = stderr
    .replace(/^Signing data on standard input\s*/m, "")
    .trim()
    .replace(/\s+/g, " ");
  const advice = /passphrase/i.test(said)
    ? "give its passphrase, or add the key to an agent with ssh-add"
    : "if the key is in an agent, add it with ssh-add and see that SSH_AUTH_SOCK is set; else name the private key";
  return `ssh-keygen could not sign with ${path} (${said === "" ? "no reason given" : said}): ${advice}`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function keygenMissing(cause: unknown): HoldfastError {
  return new HoldfastError(
    "invalid-key",
    "ssh-keygen was not found: install OpenSSH, or use a key file without a passphrase",
    { cause },
  );
}
