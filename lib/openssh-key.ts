// OpenSSH keys: public key blobs (RFC 4253 6.6, RFC 8709), the one-line public key file, and the
// "openssh-key-v1" private key file (OpenSSH PROTOCOL.key), unencrypted. ssh-ed25519 only.

import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { base64nopad } from "@scure/base";
import { base64 } from "./base64.ts";
import { HoldfastError } from "./error.ts";
import { hashBytes, type NodeId } from "./hash.ts";
import { SshReader, sshString, sshUint32 } from "./ssh-wire.ts";

export const ED25519_KEY_BYTES = 32;
const KEY_TYPE = "ssh-ed25519";
const KEY_TEXT_MAX = 4096;
const PRIVATE_MAGIC = "openssh-key-v1\0";
const PRIVATE_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----";
const PRIVATE_END = "-----END OPENSSH PRIVATE KEY-----";

/** An Ed25519 key pair: `seed` is 32 bytes, `blob` the SSH public key blob (51 bytes). */
export interface KeyPair {
  seed: Uint8Array;
  blob: Uint8Array;
}

/** The SSH public key blob of a raw 32-byte Ed25519 key. */
export function encodePublicKeyBlob(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== ED25519_KEY_BYTES) throw new RangeError("an Ed25519 key has 32 bytes");
  return concatBytes(sshString(KEY_TYPE), sshString(publicKey));
}

/** The raw Ed25519 key in an SSH public key blob. Throws `invalid-key` for anything else. */
export function parsePublicKeyBlob(blob: Uint8Array): Uint8Array {
  const reader = new SshReader(blob, "invalid-key");
  const type = reader.text();
  if (type !== KEY_TYPE) {
    throw new HoldfastError(
      "invalid-key",
      `the key type must be ssh-ed25519, not ${JSON.stringify(type.slice(0, 40))}`,
    );
  }
  const key = reader.string();
  reader.end();
  if (key.length !== ED25519_KEY_BYTES) throw new HoldfastError("invalid-key", "an Ed25519 key has 32 bytes");
  return key;
}

/** A public key blob in base64, as it stands in a TXT record or a statement. One encoding: padded, standard alphabet. */
export function parsePublicKeyText(text: string): Uint8Array {
  let blob: Uint8Array;
  try {
    blob = base64.decode(text);
  } catch (cause) {
    throw new HoldfastError("invalid-key", "the key is not base64", { cause });
  }
  parsePublicKeyBlob(blob);
  return blob;
}

export function formatPublicKeyText(blob: Uint8Array): string {
  return base64.encode(blob);
}

/** `ssh-ed25519 AAAA… comment`: the blob and the comment of a public key file's first line. */
export function parsePublicKeyLine(line: string): { blob: Uint8Array; comment: string } {
  const [type, text, ...comment] = line.slice(0, KEY_TEXT_MAX).trim().split(/\s+/);
  if (type !== KEY_TYPE || text === undefined) {
    throw new HoldfastError("invalid-key", "expected a public key line: ssh-ed25519 AAAA… comment");
  }
  return { blob: parsePublicKeyText(text), comment: comment.join(" ") };
}

export function formatPublicKeyLine(blob: Uint8Array, comment: string): string {
  return `${KEY_TYPE} ${formatPublicKeyText(blob)}${comment === "" ? "" : ` ${comment}`}`;
}

/** `SHA256:…` as `ssh-keygen -l` prints it. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${base64nopad.encode(sha256(blob))}`;
}

/** A node's id is the SHA-256 of its public key blob. */
export function nodeIdOf(blob: Uint8Array): NodeId {
  return hashBytes(blob) as NodeId;
}

/** An unencrypted private key file; null where it is encrypted, so that the caller can turn to an agent. */
export function parsePrivateKeyFile(text: string): KeyPair | null {
  const reader = new SshReader(decodeArmor(text), "invalid-key");
  if (reader.fixedText(PRIVATE_MAGIC.length) !== PRIVATE_MAGIC) {
    throw new HoldfastError("invalid-key", "not an OpenSSH private key");
  }
  const cipher = reader.text();
  reader.string(); // kdf name
  reader.string(); // kdf options
  const count = reader.uint32();
  if (count !== 1) throw new HoldfastError("invalid-key", "a private key file holds one key");
  const blob = reader.string();
  if (cipher !== "none") return null;
  const section = new SshReader(reader.string(), "invalid-key");
  reader.end();
  return parsePrivateSection(section, blob);
}

/** The unencrypted OpenSSH private key file of a key pair, as `ssh-keygen -N ''` writes it. `check` is any 32 bits. */
export function formatPrivateKeyFile(key: KeyPair, comment: string, check: number): string {
  const publicKey = parsePublicKeyBlob(key.blob);
  const plain = concatBytes(
    sshUint32(check),
    sshUint32(check),
    sshString(KEY_TYPE),
    sshString(publicKey),
    sshString(concatBytes(key.seed, publicKey)),
    sshString(comment),
  );
  const padding = Uint8Array.from({ length: (8 - (plain.length % 8)) % 8 }, (_, i) => i + 1);
  const body = concatBytes(
    new TextEncoder().encode(PRIVATE_MAGIC),
    sshString("none"),
    sshString("none"),
    sshString(""),
    sshUint32(1),
    sshString(key.blob),
    sshString(concatBytes(plain, padding)),
  );
  const lines = base64.encode(body).match(/.{1,70}/g) ?? [];
  return [PRIVATE_BEGIN, ...lines, PRIVATE_END, ""].join("\n");
}

function parsePrivateSection(section: SshReader, blob: Uint8Array): KeyPair {
  const publicKey = parsePublicKeyBlob(blob);
  const check = section.uint32();
  if (section.uint32() !== check) throw new HoldfastError("invalid-key", "the private key is damaged");
  if (section.text() !== KEY_TYPE) throw new HoldfastError("invalid-key", "the key type must be ssh-ed25519");
  const declared = section.string();
  const secret = section.string();
  const consistent =
    secret.length === 2 * ED25519_KEY_BYTES &&
    hashBytes(declared) === hashBytes(publicKey) &&
    hashBytes(secret.subarray(ED25519_KEY_BYTES)) === hashBytes(publicKey);
  if (!consistent)
    throw new HoldfastError("invalid-key", "the private key does not belong to its public key");
  return { seed: secret.slice(0, ED25519_KEY_BYTES), blob };
}

function decodeArmor(text: string): Uint8Array {
  const body = text.slice(0, KEY_TEXT_MAX).trim();
  if (!body.startsWith(PRIVATE_BEGIN) || !body.endsWith(PRIVATE_END)) {
    throw new HoldfastError(
      "invalid-key",
      "expected an OpenSSH private key file (ssh-keygen -t ed25519 makes one)",
    );
  }
  const inner = body.slice(PRIVATE_BEGIN.length, -PRIVATE_END.length).replace(/\s+/g, "");
  try {
    return base64.decode(inner);
  } catch (cause) {
    throw new HoldfastError("invalid-key", "the private key is not base64", { cause });
  }
}
