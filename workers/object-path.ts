// What a path under /obj asks for: an object, or with a slash at its end a folder. Percent-decoded once, and refused
// where it is no name that could have been published.

import { HoldfastError } from "../lib/error.ts";
import { type Domain, type ObjectName, parseDomain, parseName } from "../lib/names.ts";

const OBJ_PATH = /^\/obj\/([^/]+)\/(.*)$/s;

/** A folder of a domain: null is the whole domain. */
export interface FolderPath {
  domain: Domain;
  path: ObjectName | null;
}

export type ObjectPath =
  | { kind: "object"; domain: Domain; name: ObjectName }
  | ({ kind: "folder" } & FolderPath);

/** Throws `invalid-domain` or `invalid-name`. */
export function parseObjectPath(urlPath: string): ObjectPath {
  const [, host, rest] = OBJ_PATH.exec(urlPath) ?? [];
  if (host === undefined || rest === undefined) {
    throw new HoldfastError("invalid-name", "expected /obj/<domain>/<name>, or /obj/<domain>/ for a listing");
  }
  const domain = parseDomain(decodePath(host));
  const path = decodePath(rest);
  if (path === "") return { kind: "folder", domain, path: null };
  return path.endsWith("/")
    ? { kind: "folder", domain, path: parseName(path.slice(0, -1)) }
    : { kind: "object", domain, name: parseName(path) };
}

/** `example.org/some/folder/`, for people. */
export function formatFolder({ domain, path }: FolderPath): string {
  return path === null ? `${domain}/` : `${domain}/${path}/`;
}

/** The page that a folder may have of its own. Throws `invalid-name` where its name is too long for one. */
export function indexPageOf({ path }: FolderPath): ObjectName {
  return parseName(path === null ? "index.html" : `${path}/index.html`);
}

function decodePath(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new HoldfastError("invalid-name", "the name is not percent-encoded UTF-8", { cause });
  }
}
