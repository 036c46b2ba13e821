import { base64 } from "@scure/base";
import { describe, expect, test } from "vitest";
import { importSigner } from "../../lib/ed25519.ts";
import {
  fingerprintOf,
  formatPrivateKeyFile,
  formatPublicKeyLine,
  parsePrivateKeyFile,
  parsePublicKeyBlob,
  parsePublicKeyLine,
  parsePublicKeyText,
} from "../../lib/openssh-key.ts";
import {
  createStatementSigner,
  formatSshSignature,
  type Namespace,
  parseSshSignature,
  verifySshSignature,
} from "../../lib/sshsig.ts";
import vectors from "../vectors/sshsig.json" with { type: "json" };

const message = new TextEncoder().encode(vectors.message);

describe("SSHSIG", () => {
  test.each(vectors.valid)("a signature by ssh-keygen verifies: $why", async ({ namespace, signature }) => {
    const key = await verifySshSignature(signature, namespace as Namespace, message);
    expect(base64.encode(key)).toBe(vectors.key);
  });

  test.each(vectors.valid)("it is written back as ssh-keygen wrote it: $why", ({ signature }) => {
    expect(formatSshSignature(parseSshSignature(signature))).toBe(signature);
  });

  test.each(vectors.invalid)("it is refused: $why", async ({ signature, message: text, code }) => {
    const verdict = verifySshSignature(signature, "holdfast", new TextEncoder().encode(text));
    await expect(verdict).rejects.toMatchObject({ code });
  });

  test("our own signature is the same text as ssh-keygen's, since Ed25519 has only one", async () => {
    const pair = parsePrivateKeyFile(vectors.privateKey);
    if (pair === null) throw new Error("the key is not encrypted");
    const signer = createStatementSigner(await importSigner(pair.seed));
    expect(await signer.sign("holdfast", message)).toBe(vectors.valid[0]?.signature);
  });
});

describe("OpenSSH keys", () => {
  test("a public key line, its blob and its fingerprint agree with ssh-keygen", () => {
    const { blob, comment } = parsePublicKeyLine(vectors.publicKeyLine);
    expect(fingerprintOf(blob)).toBe(vectors.fingerprint);
    expect(formatPublicKeyLine(blob, comment)).toBe(vectors.publicKeyLine);
  });

  test("a private key file is read, and the one we write reads back", () => {
    const pair = parsePrivateKeyFile(vectors.privateKey);
    if (pair === null) throw new Error("the key is not encrypted");
    expect(base64.encode(pair.blob)).toBe(vectors.key);
    expect(parsePrivateKeyFile(formatPrivateKeyFile(pair, "comment", 42))).toEqual(pair);
  });

  test("an encrypted private key is told apart from a broken one", () => {
    expect(parsePrivateKeyFile(vectors.encryptedKey)).toBeNull();
    expect(() => parsePrivateKeyFile("nonsense")).toThrowError(
      expect.objectContaining({ code: "invalid-key" }),
    );
  });

  test("a private key with any byte of its secret part changed is refused, or is still the same key", () => {
    const [begin, ...lines] = vectors.privateKey.trim().split("\n");
    const body = base64.decode(lines.slice(0, -1).join(""));
    const end = lines.at(-1);
    for (let i = body.length - 40; i > 100; i -= 9) {
      const altered = Uint8Array.from(body, (byte, at) => (at === i ? byte ^ 1 : byte));
      const text = [begin, base64.encode(altered), end].join("\n");
      let blob = vectors.key;
      try {
        blob = base64.encode(parsePrivateKeyFile(text)?.blob ?? new Uint8Array());
      } catch (error) {
        expect(error).toMatchObject({ code: "invalid-key" });
      }
      expect(blob).toBe(vectors.key);
    }
  });

  test.each([
    ["not base64", "***"],
    ["an unpadded tail", vectors.key.slice(0, -1)],
    ["rsa", "AAAAB3NzaC1yc2EAAAADAQABAAAAAQ=="],
    ["a byte over", base64.encode(Uint8Array.of(...base64.decode(vectors.key), 0))],
    ["a byte short", base64.encode(base64.decode(vectors.key).subarray(0, -1))],
    ["empty", ""],
  ])("a public key is refused: %s", (_, text) => {
    expect(() => parsePublicKeyText(text)).toThrowError(expect.objectContaining({ code: "invalid-key" }));
  });

  test("a blob holds the raw key", () => {
    expect(parsePublicKeyBlob(base64.decode(vectors.key))).toHaveLength(32);
  });
});
