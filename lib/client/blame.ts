// Who brought what of an object: for each of its bytes, or for each line of a text, the Version that they came with. Bytes
// are told apart by the chunks that Versions share; lines by comparing a text with the one before it.

import { diffArrays } from "diff";
import { HoldfastError } from "../error.ts";
import type { Hash, Hasher } from "../hash.ts";
import { chunksOf, type Manifest } from "../manifest.ts";
import { checkManifest } from "../publication.ts";
import type { ChunkSource } from "./chunk-source.ts";
import { download } from "./download.ts";
import { type KnownVersion, stands } from "./name-knowledge.ts";

/** Versions that are gone back through; what is older stays with the last of them. */
export const BLAMED_VERSIONS_MAX = 1000;
/** A text is held whole, with the one before it. */
export const BLAMED_TEXT_MAX = 4 * 1024 * 1024;
/** Lines that differ between two texts; past it all of the newer one count as new. */
const EDITS_MAX = 20_000;

export interface BlameOptions {
  source: ChunkSource;
  hasher: Hasher;
  /** Versions that were gone through. */
  onVersion?: (count: number) => void;
}

/** A stretch of the object, and the Version that it came with. */
export interface BlamedRange {
  /** Inclusive. */
  first: number;
  last: number;
  origin: KnownVersion;
}

export interface BlamedLine {
  text: string;
  origin: KnownVersion;
}

/** The Version and those that it followed, newest first, as far as they are known and stand. Manifests are loaded as they are needed. */
export interface History {
  versions: readonly KnownVersion[];
  manifestOf(version: KnownVersion): Promise<Manifest>;
}

/** The line of Versions that ends in `current`. */
export function historyOf(
  current: KnownVersion,
  all: readonly KnownVersion[],
  manifests: ReadonlyMap<Hash, Uint8Array<ArrayBuffer>>,
  source: ChunkSource,
): History {
  const byId = new Map(all.map((known) => [known.version.id, known]));
  const versions: KnownVersion[] = [];
  let next: KnownVersion | undefined = current;
  while (next !== undefined && versions.length < BLAMED_VERSIONS_MAX) {
    versions.push(next);
    next = ancestorOf(next, byId);
  }
  const loaded = new Map<Hash, Promise<Manifest>>();
  const load = async ({ version }: KnownVersion): Promise<Manifest> => {
    const hash = version.body.manifest;
    return checkManifest(version, manifests.get(hash) ?? (await source.get({ hash, sizeBytes: null })));
  };
  return {
    versions,
    manifestOf(known) {
      const { id } = known.version;
      const manifest = loaded.get(id) ?? load(known);
      loaded.set(id, manifest);
      return manifest;
    },
  };
}

/** The next older one that is known and stands: what was taken back brought nothing. */
function ancestorOf(known: KnownVersion, byId: ReadonlyMap<Hash, KnownVersion>): KnownVersion | undefined {
  let { previous } = known.version.body;
  while (previous !== null) {
    const parent = byId.get(previous);
    if (parent === undefined || stands(parent)) return parent;
    previous = parent.version.body.previous;
  }
  return undefined;
}

/** The object's ranges in order, neighbours of one origin joined. */
export async function blameBytes(history: History, options: BlameOptions): Promise<BlamedRange[]> {
  const [current] = history.versions;
  if (current === undefined) return [];
  const chunks: { hash: Hash; offset: number; size: number }[] = [];
  for await (const chunk of payloadOf(history, current, options)) chunks.push(chunk);
  const origins = await originsOf(new Set(chunks.map(({ hash }) => hash)), history, options);
  const ranges: BlamedRange[] = [];
  for (const { hash, offset, size } of chunks) {
    const origin = origins.get(hash) ?? current;
    const before = ranges.at(-1);
    if (before?.origin === origin) before.last = offset + size - 1;
    else ranges.push({ first: offset, last: offset + size - 1, origin });
  }
  return ranges;
}

/** For each chunk of the newest Version the oldest one from which on it was there without a break. */
async function originsOf(
  current: ReadonlySet<Hash>,
  history: History,
  options: BlameOptions,
): Promise<Map<Hash, KnownVersion>> {
  const origins = new Map<Hash, KnownVersion>();
  let open = new Set(current);
  for (const [i, known] of history.versions.entries()) {
    options.onVersion?.(i + 1);
    const its = new Set<Hash>();
    for await (const { hash } of payloadOf(history, known, options)) its.add(hash);
    open = new Set([...open].filter((hash) => its.has(hash)));
    for (const hash of open) origins.set(hash, known);
    if (open.size === 0) break;
  }
  return origins;
}

async function* payloadOf(history: History, known: KnownVersion, { source }: BlameOptions) {
  const manifest = await history.manifestOf(known);
  yield* chunksOf(manifest, (hash) => source.get({ hash, sizeBytes: null }));
}

/** The text's lines in order. Throws `invalid-request` where the object is not a text of bounded size. */
export async function blameLines(history: History, options: BlameOptions): Promise<BlamedLine[]> {
  const [current, ...older] = history.versions;
  if (current === undefined) return [];
  const lines = await linesOf(history, current, options);
  if (lines === null) {
    throw new HoldfastError(
      "invalid-request",
      `the object is no text in UTF-8 of at most ${BLAMED_TEXT_MAX} bytes: blame its bytes, with --bytes`,
    );
  }
  const origins = lines.map(() => current);
  // Where each line of the newest text that is not settled yet stands in the text at hand.
  let open = lines.map((_, i) => ({ line: i, at: i }));
  let text = lines;
  for (const [i, known] of older.entries()) {
    options.onVersion?.(i + 2);
    const before = await linesOf(history, known, options);
    const places = before === null ? new Map<number, number>() : keptLines(before, text);
    open = open.flatMap(({ line, at }) => {
      const place = places.get(at);
      return place === undefined ? [] : [{ line, at: place }];
    });
    for (const { line } of open) origins[line] = known;
    if (open.length === 0 || before === null) break;
    text = before;
  }
  return lines.map((line, i) => ({ text: line, origin: origins[i] ?? current }));
}

/** For each line of `after` that `before` has too, where. */
function keptLines(before: readonly string[], after: readonly string[]): Map<number, number> {
  const places = new Map<number, number>();
  const changes = diffArrays([...before], [...after], { maxEditLength: EDITS_MAX });
  let [old, now] = [0, 0];
  for (const { added, removed, count } of changes ?? []) {
    if (!added && !removed) for (let k = 0; k < count; k++) places.set(now + k, old + k);
    if (!added) old += count;
    if (!removed) now += count;
  }
  return places;
}

/** Null for what is no text, or too large. */
async function linesOf(
  history: History,
  known: KnownVersion,
  { source, hasher }: BlameOptions,
): Promise<string[] | null> {
  const manifest = await history.manifestOf(known);
  if (manifest.size > BLAMED_TEXT_MAX) return null;
  const whole = new Uint8Array(manifest.size);
  await download(manifest, { write: async (bytes, offset) => whole.set(bytes, offset) }, { source, hasher });
  const text = decodeText(whole);
  if (text === null) return null;
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

function decodeText(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
