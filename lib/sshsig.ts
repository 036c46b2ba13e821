// SSHSIG (OpenSSH PROTOCOL.sshsig): detached signatures that `ssh-keygen -Y sign` makes and `-Y verify` checks.
// A namespace keeps a signature made for one purpose from passing for another.

import { concatBytes } from "@noble/hashes/utils.js";
import { base64 } from "./base64.ts";
import { type Ed25519Signer, SIGNATURE_BYTES, verifyEd25519 } from "./ed25519.ts";
import { HoldfastError } from "./error.ts";
import { encodePublicKeyBlob, parsePublicKeyBlob } from "./openssh-key.ts";
import { primitives } from "./primitives.ts";
import { SshReader, sshString, sshUint32 } from "./ssh-wire.ts";

/** One namespace per purpose: Versions and Removals, registrations, upload grants and proofs, an edge's witnesses, what a domain's key says of other keys, and what an edge's operator says to it. */
export const NAMESPACES = [
  "holdfast",
  "holdfast-node",
  "holdfast-upload",
  "holdfast-edge",
  "holdfast-domain",
  "holdfast-operator",
] as const;
export type Namespace = (typeof NAMESPACES)[number];

export const SSHSIG_TEXT_MAX = 2048;
const MAGIC = "SSHSIG";
const VERSION = 1;
const SIGNATURE_TYPE = "ssh-ed25519";
const BEGIN = "-----BEGIN SSH SIGNATURE-----";
const END = "-----END SSH SIGNATURE-----";
const LINE_LENGTH = 70;
type HashName = "sha256" | "sha512";

/** A signature's parts. `key` is the SSH public key blob, `signature` the raw 64 bytes. */
export interface SshSignature {
  key: Uint8Array;
  namespace: string;
  hashName: HashName;
  signature: Uint8Array;
}

/** Who can sign statements: a key in memory, an agent, or ssh-keygen. */
export interface StatementSigner {
  /** SSH public key blob. */
  key: Uint8Array;
  /** The armored SSHSIG over `message`. */
  sign(namespace: Namespace, message: Uint8Array): Promise<string>;
}

export function createStatementSigner(signer: Ed25519Signer): StatementSigner {
  const key = encodePublicKeyBlob(signer.publicKey);
  return {
    key,
    sign: async (namespace, message) => {
      const signature = await signer.sign(signedData(namespace, "sha512", message));
      return formatSshSignature({ key, namespace, hashName: "sha512", signature });
    },
  };
}

/** Verifies an armored signature; returns the SSH public key blob that made it. Whether that key may, is the caller's. */
export async function verifySshSignature(
  armored: string,
  namespace: Namespace,
  message: Uint8Array,
): Promise<Uint8Array> {
  const parsed = parseSshSignature(armored);
  if (parsed.namespace !== namespace) {
    throw new HoldfastError(
      "wrong-namespace",
      `the signature is for ${JSON.stringify(parsed.namespace)}, not ${namespace}`,
    );
  }
  const data = signedData(namespace, parsed.hashName, message);
  if (!(await verifyEd25519(parsePublicKeyBlob(parsed.key), data, parsed.signature))) {
    throw new HoldfastError("invalid-signature", "the signature does not match the statement");
  }
  return parsed.key;
}

/** Parses the armored text of a signature by an ssh-ed25519 key. */
export function parseSshSignature(armored: string): SshSignature {
  const reader = new SshReader(decodeArmor(armored), "invalid-signature");
  if (reader.fixedText(MAGIC.length) !== MAGIC || reader.uint32() !== VERSION) {
    throw new HoldfastError("invalid-signature", "not an SSHSIG version 1 signature");
  }
  const key = reader.string();
  const namespace = reader.text();
  if (reader.string().length !== 0)
    throw new HoldfastError("invalid-signature", "the reserved field is not empty");
  const hashName = parseHashName(reader.text());
  const signature = parseSignatureBlob(reader.string());
  reader.end();
  return { key, namespace, hashName, signature };
}

export function formatSshSignature(parts: SshSignature): string {
  const body = concatBytes(
    new TextEncoder().encode(MAGIC),
    sshUint32(VERSION),
    sshString(parts.key),
    sshString(parts.namespace),
    sshString(""),
    sshString(parts.hashName),
    sshString(concatBytes(sshString(SIGNATURE_TYPE), sshString(parts.signature))),
  );
  return encodeArmor(body);
}

/** A signature's bytes as `ssh-keygen -Y sign` writes them. */
export function encodeArmor(body: Uint8Array): string {
  const lines = base64.encode(body).match(new RegExp(`.{1,${LINE_LENGTH}}`, "g")) ?? [];
  return [BEGIN, ...lines, END, ""].join("\n");
}

/** The bytes that the key signs: PROTOCOL.sshsig section 3. */
function signedData(namespace: string, hashName: HashName, message: Uint8Array): Uint8Array {
  return concatBytes(
    new TextEncoder().encode(MAGIC),
    sshString(namespace),
    sshString(""),
    sshString(hashName),
    sshString(primitives()[hashName](message)),
  );
}

function parseHashName(text: string): HashName {
  if (text !== "sha256" && text !== "sha512") {
    throw new HoldfastError(
      "invalid-signature",
      `unknown hash algorithm ${JSON.stringify(text.slice(0, 20))}`,
    );
  }
  return text;
}

function parseSignatureBlob(blob: Uint8Array): Uint8Array {
  const reader = new SshReader(blob, "invalid-signature");
  const type = reader.text();
  const signature = reader.string();
  reader.end();
  if (type !== SIGNATURE_TYPE || signature.length !== SIGNATURE_BYTES) {
    throw new HoldfastError("invalid-signature", "the signature must be ssh-ed25519, of 64 bytes");
  }
  return signature;
}

/** The bytes in an armored signature. Throws `invalid-signature`. */
export function decodeArmor(armored: string): Uint8Array {
  if (armored.length > SSHSIG_TEXT_MAX)
    throw new HoldfastError("invalid-signature", "the signature is too long");
  const body = armored.trim();
  if (!body.startsWith(BEGIN) || !body.endsWith(END)) {
    throw new HoldfastError("invalid-signature", "expected an armored SSH signature");
  }
  try {
    return base64.decode(body.slice(BEGIN.length, -END.length).replace(/\s+/g, ""));
  } catch (cause) {
    throw new HoldfastError("invalid-signature", "the signature is not base64", { cause });
  }
}
