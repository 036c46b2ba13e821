// Where the socket of a home node lies: <dir>/socket, or, where that is too long for the name of a socket, in a folder
// of its own under the system's temporary one, to which <dir>/socket links.

import { mkdtemp, readlink, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isFileError } from "../store/durable-file.ts";

export const SOCKET_FILE = "socket";
/** 104 bytes on macOS, 108 on Linux; the last one is zero. */
export const SOCKET_PATH_BYTES_MAX = 103;

/** Frees the name of what a crash left there, and returns where to listen. The caller has the folder's lock. */
export async function placeSocket(dir: string): Promise<string> {
  const name = join(dir, SOCKET_FILE);
  await rm(name, { force: true });
  if (fits(name)) return name;
  // Readable by nobody else, as the node's own folder is.
  const path = join(await mkdtemp(join(tmpdir(), "holdfast-")), SOCKET_FILE);
  await symlink(path, name);
  return path;
}

/** Where to connect. */
export async function findSocket(dir: string): Promise<string> {
  const name = join(dir, SOCKET_FILE);
  if (fits(name)) return name;
  try {
    return await readlink(name);
  } catch (error) {
    if (isFileError(error, "ENOENT", "EINVAL")) return name;
    throw error;
  }
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX;
}
