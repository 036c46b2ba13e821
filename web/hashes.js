// Bytes, hashes and signatures, as far as the page reads them. It verifies no signature: its own code comes from the edge.

/** @param {string} text */
export const decodeBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** @param {Uint8Array} bytes */
export const encodeBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** @param {Uint8Array<ArrayBuffer>} bytes */
export const decodeJson = (bytes) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
export async function hexHash(bytes) {
  return [...(await sha256(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The public key blob inside an armored SSHSIG: after the magic and a version, a length and so many bytes. @param {string} armored */
export function keyOfSignature(armored) {
  const bytes = decodeBase64(armored.replace(/-----[A-Z ]+-----|\s/g, ""));
  const view = new DataView(bytes.buffer);
  return bytes.slice(14, 14 + view.getUint32(10));
}

/** As `ssh-keygen -l` prints it. @param {Uint8Array<ArrayBuffer>} blob */
export async function fingerprintOf(blob) {
  return `SHA256:${encodeBase64(await sha256(blob)).replace(/=+$/, "")}`;
}
