// What really lies in the folders of the home nodes: every file is hashed here, and nobody is asked. By it, chunks that are
// below their target are found whatever the edge believes, and files are harmed as a bad disk harms them.

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LocalNode } from "../../../cli/local/network.ts";
import { type Hash, isHash } from "../../../lib/hash.ts";
import type { SeededRandom } from "../../random.ts";
import { sha256 } from "../object-reads.ts";

/** Bytes in the middle of a file that are turned over. */
const FLIPPED_BYTES = 16;

type DiskNode = Pick<LocalNode, "name" | "dir">;

interface Found {
  node: DiskNode;
  path: string;
}

export class Survey {
  /** The intact copies of each chunk. */
  readonly #copies = new Map<Hash, Found[]>();
  corruptFiles = 0;
  files = 0;

  add(hash: Hash, found: Found): void {
    this.files += 1;
    const known = this.#copies.get(hash);
    if (known === undefined) this.#copies.set(hash, [found]);
    else known.push(found);
  }

  /** On how many nodes the chunk lies, intact. */
  copiesOf(hash: Hash): number {
    return this.#copies.get(hash)?.length ?? 0;
  }

  /** Names of the nodes where it lies. */
  nodesOf(hash: Hash): string[] {
    return (this.#copies.get(hash) ?? []).map(({ node }) => node.name);
  }

  /** A chunk's bytes from whichever node; null where none has it. */
  read(hash: Hash): Uint8Array | null {
    for (const { path } of this.#copies.get(hash) ?? []) {
      const bytes = readIfThere(path);
      if (bytes !== null && sha256(bytes) === hash) return bytes;
    }
    return null;
  }
}

export class Disks {
  /** Whether a file is intact, by what it was when it was hashed. */
  readonly #hashed = new Map<string, { stamp: string; intact: boolean }>();

  survey(nodes: readonly DiskNode[]): Survey {
    const survey = new Survey();
    for (const node of nodes) {
      for (const { hash, path } of chunkFiles(node)) {
        const intact = this.#isIntact(hash, path);
        if (intact === true) survey.add(hash, { node, path });
        if (intact === false) survey.corruptFiles += 1;
      }
    }
    return survey;
  }

  /** Null where the file is gone meanwhile. */
  #isIntact(hash: Hash, path: string): boolean | null {
    const stamp = stampOf(path);
    if (stamp === null) return null;
    const known = this.#hashed.get(path);
    if (known?.stamp === stamp) return known.intact;
    const bytes = readIfThere(path);
    if (bytes === null) return null;
    const intact = sha256(bytes) === hash;
    this.#hashed.set(path, { stamp, intact });
    return intact;
  }
}

/** Turns bytes over in a share of a node's chunk files, behind its back; returns in how many. */
export function flipFiles(node: DiskNode, share: number, random: SeededRandom): number {
  const chosen = chooseFiles(node, share, random);
  for (const path of chosen) {
    const bytes = readIfThere(path);
    if (bytes === null) continue;
    const start = bytes.length >> 1;
    for (let i = start; i < Math.min(bytes.length, start + FLIPPED_BYTES); i++)
      bytes[i] = (bytes[i] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
  }
  return chosen.length;
}

/** Deletes a share of a node's chunk files, behind its back; returns how many. */
export function deleteFiles(node: DiskNode, share: number, random: SeededRandom): number {
  const chosen = chooseFiles(node, share, random);
  for (const path of chosen) rmSync(path, { force: true });
  return chosen.length;
}

function chooseFiles(node: DiskNode, share: number, random: SeededRandom): string[] {
  const paths = chunkFiles(node).map(({ path }) => path);
  return random.shuffled(paths).slice(0, Math.ceil(paths.length * share));
}

/** In the order of their hashes, so that equal seeds choose alike. */
function chunkFiles({ dir }: DiskNode): { hash: Hash; path: string }[] {
  const chunks = join(dir, "chunks");
  return listFolder(chunks).flatMap((prefix) =>
    listFolder(join(chunks, prefix)).flatMap((hash) =>
      isHash(hash) ? [{ hash, path: join(chunks, prefix, hash) }] : [],
    ),
  );
}

function listFolder(path: string): string[] {
  return existsSync(path) ? readdirSync(path).sort() : [];
}

function stampOf(path: string): string | null {
  const info = statSync(path, { throwIfNoEntry: false });
  return info === undefined ? null : `${info.ino} ${info.mtimeMs} ${info.size}`;
}

function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
