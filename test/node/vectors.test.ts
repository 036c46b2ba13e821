// The vectors against implementations that are not ours: Python's standard library, sha256sum, the real ssh-keygen.

import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import { formatPrivateKeyFile, formatPublicKeyLine, parsePrivateKeyFile } from "../../lib/openssh-key.ts";
import { createStatementSigner, NAMESPACES, verifySshSignature } from "../../lib/sshsig.ts";
import { requirePrograms } from "../e2e/requires.ts";
import names from "../vectors/names.json" with { type: "json" };
import sshsig from "../vectors/sshsig.json" with { type: "json" };

const { missing } = requirePrograms({
  python3: "python3",
  "ssh-keygen": "openssh-client",
  sha256sum: "coreutils",
});

describe.skipIf(missing.length > 0)("independent implementations", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-vectors-"));
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function run(command: string, args: string[], input: string | Uint8Array = ""): string {
    return execFileSync(command, args, {
      input,
      encoding: "utf8",
      cwd: folder,
      stdio: ["pipe", "pipe", "pipe"],
    });
  }

  test("in Python agree on chunk boundaries, Name Hashes, canonical forms and ids", () => {
    const script = join(import.meta.dirname, "../vectors/check.py");
    expect(run("python3", [script])).toBe("vectors agree\n");
  });

  test("sha256sum gives the Name Hashes", () => {
    for (const { domain, name, nameHash } of names.valid) {
      expect(run("sha256sum", [], `${domain}/${name}`)).toBe(`${nameHash}  -\n`);
    }
  });

  test("ssh-keygen verifies what we sign, in every namespace, and refuses it for another purpose or message", async () => {
    const pair = parsePrivateKeyFile(sshsig.privateKey);
    if (pair === null) throw new Error("the key is not encrypted");
    const signer = createStatementSigner(await importSigner(pair.seed));
    writeFileSync(join(folder, "allowed"), `me@example.org ${formatPublicKeyLine(pair.blob, "")}\n`);
    const message = new TextEncoder().encode('{"type":"test"}');
    const verify = (namespace: string, bytes: Uint8Array) =>
      run(
        "ssh-keygen",
        ["-Y", "verify", "-f", "allowed", "-I", "me@example.org", "-n", namespace, "-s", "sig"],
        bytes,
      );
    for (const namespace of NAMESPACES) {
      writeFileSync(join(folder, "sig"), await signer.sign(namespace, message));
      expect(verify(namespace, message)).toContain("Good");
      expect(() => verify("file", message)).toThrow();
      expect(() => verify(namespace, message.subarray(1))).toThrow();
    }
  });

  test("we verify what ssh-keygen signs with a key that it has just made", async () => {
    run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "fresh"]);
    const message = "signed by ssh-keygen";
    const signature = run("ssh-keygen", ["-Y", "sign", "-n", "holdfast", "-f", "fresh"], message);
    const bytes = new TextEncoder().encode(message);
    const key = await verifySshSignature(signature, "holdfast", bytes);
    expect(formatPublicKeyLine(key, "")).toBe(
      run("ssh-keygen", ["-y", "-f", "fresh"]).trim().split(" ").slice(0, 2).join(" "),
    );
  });

  test("ssh-keygen reads the private key file that we write, and finds its public key and fingerprint", () => {
    const file = join(folder, "ours");
    const pair = parsePrivateKeyFile(sshsig.privateKey);
    if (pair === null) throw new Error("the key is not encrypted");
    writeFileSync(file, formatPrivateKeyFile(pair, "a@example.org", 7));
    chmodSync(file, 0o600);
    expect(run("ssh-keygen", ["-y", "-f", file])).toBe(`${sshsig.publicKeyLine}\n`);
    expect(run("ssh-keygen", ["-l", "-f", file]).split(" ")[1]).toBe(sshsig.fingerprint);
  });
});
