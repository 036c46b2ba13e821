// The ids of the edges that the user has chosen, as they were when first asked: whoever answers at the same URL later,
// with another key, does not inherit the trust in what the edge has witnessed. One line for each, as ssh keeps known hosts.

import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Server } from "../lib/client/server.ts";
import type { TrustedEdges } from "../lib/earlier-keys.ts";
import { isHoldfastError } from "../lib/error.ts";
import { type Hash, isHash } from "../lib/hash.ts";

export const KNOWN_EDGES_MAX = 256;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Which of `edges` this client trusts to witness: each is asked for its id once, and remembered. */
export async function trustedEdgesFrom(path: string, edges: readonly Server[]): Promise<TrustedEdges> {
  const known = await readKnown(path);
  const ids = await Promise.all(edges.map(async (edge) => known.get(edge.url) ?? (await idOf(edge))));
  const found = edges.flatMap((edge, i): [string, Hash][] => {
    const id = ids[i] ?? null;
    return id === null || known.has(edge.url) ? [] : [[edge.url, id]];
  });
  if (found.length > 0) await writeKnown(path, new Map([...known, ...found]));
  return { own: new Set(ids.filter((id) => id !== null)), peers: new Set() };
}

/** Null for one that does not answer as an edge. */
async function idOf(edge: Server): Promise<Hash | null> {
  try {
    return (await edge.status()).id;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

async function readKnown(path: string): Promise<Map<string, Hash>> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (isSystemError(error)) return "";
    throw error;
  });
  const lines = text.split("\n").map((line) => line.split(" "));
  return new Map(
    lines.flatMap(([url, id]): [string, Hash][] => (url !== undefined && isHash(id) ? [[url, id]] : [])),
  );
}

async function writeKnown(path: string, known: ReadonlyMap<string, Hash>): Promise<void> {
  const lines = [...known].slice(-KNOWN_EDGES_MAX).map(([url, id]) => `${url} ${id}\n`);
  const temporary = `${path}.${randomUUID()}`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    await writeFile(temporary, lines.join(""), { mode: FILE_MODE });
    await rename(temporary, path);
  } catch (error) {
    // It will be asked again.
    if (!isSystemError(error)) throw error;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "code" in error;
}
