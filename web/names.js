// What people type and link to: objects as `example.org/app.iso`, folders with a slash at their end, or the URL of
// either on this edge.

import { Problem } from "./edge.js";
import { hexHash } from "./hashes.js";

/** @typedef {{ domain: string, path: string, full: string, isFolder: boolean }} Address */
/** @typedef {Awaited<ReturnType<typeof identify>>} ObjectId */

/** A domain alone is a folder; `path` has no slash at its end. Throws `invalid-name`. @param {string} text @returns {Address} */
export function parseAddress(text) {
  const plain = stripOrigin(text.trim()).normalize("NFC");
  const [, host, rest = "/"] = /^\/?([^/]+)(\/.*)?$/s.exec(plain) ?? [];
  // The URL parser makes A-labels of a domain in any script.
  const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : null;
  if (url?.href !== `http://${url?.hostname}/` || !url.hostname.includes(".")) {
    throw new Problem("invalid-name", "That is not a domain and a name.");
  }
  const isFolder = rest.endsWith("/");
  const path = isFolder ? rest.slice(1, -1) : rest.slice(1);
  const domain = url.hostname;
  return { domain, path, isFolder, full: path === "" ? domain : `${domain}/${path}` };
}

/** @param {string} text */
export function stripOrigin(text) {
  const prefix = `${location.origin}/obj/`;
  return text.startsWith(prefix) ? decodePath(text.slice(prefix.length).replace(/[?#].*$/, "")) : text;
}

/** @param {string} path */
export function decodePath(path) {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) return path; // typed, with a plain % in it
    throw error;
  }
}

/** @param {string} full */
export function encodePath(full) {
  return full.split("/").map(encodeURIComponent).join("/").replaceAll("'", "%27");
}

/** Where this page shows an object, or with a slash at the end a folder. @param {string} full */
export const hrefOf = (full) => `#/${encodePath(full)}`;

/** @param {Address} address */
export async function identify({ domain, path, full }) {
  if (globalThis.crypto?.subtle === undefined) {
    throw new Problem(
      "insecure",
      "Browsers hash on secure pages only: open this edge by https://, or as http://localhost.",
    );
  }
  return { domain, name: path, full, nameHash: await hexHash(new TextEncoder().encode(full)) };
}
