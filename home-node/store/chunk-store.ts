// Chunks as files, named by nothing but their Content Hash: <dir>/chunks/<2 hex>/<hash>. The files are the
// only state; counts are taken from them at the start. Bytes that no longer match their hash are never given out.

import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { type FileHandle, open, readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, isHash } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { type Clock, systemClock } from "../clock.ts";
import { digestOf, startDigest } from "./digest.ts";
import {
  emptyDirectory,
  hexDirectories,
  isFileError,
  makeDirectory,
  syncDirectory,
  syncFile,
  writeDurably,
} from "./durable-file.ts";
import type { Room } from "./room.ts";
import { LOGGED_BYTES_MAX, type WriteLog } from "./write-log.ts";

/** A chunk that comes again is as young as a new one; one that came so lately is that already. */
export const RENEWED_AFTER_MS = 60 * 60 * 1000;
const READ_PIECE_BYTES = 128 * 1024;

export interface ChunkStoreDeps {
  dir: string;
  writeLog: WriteLog;
  room: Room;
  log: Logger;
  clock?: Clock;
}

export interface StoredChunk {
  hash: Hash;
  /** When it last came, by the time of its file: in whole milliseconds. */
  storedMs: number;
  sizeBytes: number;
}

export class ChunkStore {
  readonly #chunksDir: string;
  readonly #temporaryDir: string;
  readonly #writeLog: WriteLog;
  readonly #room: Room;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** The last operation on each hash that is being written or deleted. */
  readonly #busy = new Map<Hash, Promise<unknown>>();
  #onLoss: (hash: Hash) => void = () => undefined;
  #onStored: (hash: Hash) => void = () => undefined;
  #lost = 0;
  #count = 0;
  #bytes = 0;

  constructor(deps: ChunkStoreDeps) {
    this.#chunksDir = join(deps.dir, "chunks");
    this.#temporaryDir = join(deps.dir, "tmp");
    this.#writeLog = deps.writeLog;
    this.#room = deps.room;
    this.#log = deps.log;
    this.#clock = deps.clock ?? systemClock;
  }

  /** Chunks held, and their bytes. */
  get totals(): { chunks: number; bytes: number } {
    return { chunks: this.#count, bytes: this.#bytes };
  }

  /** Chunks that were here and could not be read back, since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Has `tell` called with each chunk that is lost from now on. */
  onLoss(tell: (hash: Hash) => void): void {
    this.#onLoss = tell;
  }

  /** Has `tell` called with each chunk that is newly stored from now on. */
  onStored(tell: (hash: Hash) => void): void {
    this.#onStored = tell;
  }

  /** Clears what a crash left and counts what is held. */
  async start(): Promise<void> {
    await makeDirectory(this.#chunksDir);
    await makeDirectory(this.#temporaryDir);
    const left = await emptyDirectory(this.#temporaryDir);
    if (left > 0) this.#log.info({ files: left }, "removed unfinished uploads");
    await syncDirectory(this.#chunksDir);
    for (const prefix of hexDirectories(this.#chunksDir)) {
      this.#countUnder(join(this.#chunksDir, prefix), prefix);
      // A directory left by a process that died before it synced the parent.
      await syncDirectory(join(this.#chunksDir, prefix));
      await nextTurn();
    }
  }

  /** A chunk's size in bytes as its file has it, without reading it; null where it is not held. */
  async size(hash: Hash): Promise<number | null> {
    try {
      return (await stat(this.#path(hash))).size;
    } catch (error) {
      if (isFileError(error, "ENOENT")) return null;
      throw error;
    }
  }

  /** The size of a chunk whose bytes match its hash; null where it is not held. A corrupt file is deleted. */
  async verify(hash: Hash): Promise<number | null> {
    const found = await this.#inspect(hash);
    if (found === null || found.intact) return found?.size ?? null;
    return this.#alone(hash, () => this.#discardCorrupt(hash));
  }

  /** The bytes of a chunk as its file has them, in pieces. Verify first; throws `internal` where reading fails. */
  async *read(hash: Hash): AsyncGenerator<Uint8Array> {
    try {
      yield* readPieces(this.#path(hash), () => new Uint8Array(READ_PIECE_BYTES));
    } catch (cause) {
      throw new HoldfastError("internal", "the chunk could not be read", { cause });
    }
  }

  /** The verified bytes of a chunk, read once; null where it is not held intact. A corrupt file is deleted. */
  async get(hash: Hash): Promise<Uint8Array<ArrayBuffer> | null> {
    const bytes = await readWhole(this.#path(hash), CHUNK_BYTES_MAX);
    if (bytes === null) return null;
    if (digestOf(bytes) === hash) return bytes;
    await this.verify(hash);
    return null;
  }

  /**
   * Keeps a chunk; on return it survives a power cut. "held" means that it was there, and intact.
   * Throws `chunk-too-large`, `content-hash-mismatch`, `quota-exceeded` or `disk-full`.
   */
  async put(hash: Hash, bytes: Uint8Array): Promise<"stored" | "held"> {
    if (bytes.length > CHUNK_BYTES_MAX) {
      throw new HoldfastError("chunk-too-large", `a chunk has at most ${CHUNK_BYTES_MAX} bytes`);
    }
    if (digestOf(bytes) !== hash) {
      throw new HoldfastError("content-hash-mismatch", "the bytes do not hash to the chunk's Content Hash");
    }
    return this.#alone(hash, async () => {
      if (await this.#has(hash, bytes)) {
        await this.#renew(hash);
        return "held";
      }
      await this.#room.use(bytes.length, () => this.#write(hash, bytes));
      this.#countIn(bytes.length);
      this.#onStored(hash);
      return "stored";
    });
  }

  /** Keeps a chunk that is held intact as if it came now; its size in bytes, or null. A corrupt file is deleted. */
  keep(hash: Hash): Promise<number | null> {
    return this.#alone(hash, async () => {
      const size = await this.#discardCorrupt(hash);
      if (size !== null) await this.#renew(hash);
      return size;
    });
  }

  /** Deletes a chunk; false where it was not held. */
  delete(hash: Hash): Promise<boolean> {
    return this.#alone(hash, async () => {
      const size = await this.size(hash);
      if (size !== null) await this.#remove(hash, size);
      return size !== null;
    });
  }

  /** All that are held, in order, from the one after `after` on. What comes or goes meanwhile may be missed. */
  async *list(after = ""): AsyncGenerator<StoredChunk> {
    for (const prefix of hexDirectories(this.#chunksDir).sort()) {
      if (prefix < after.slice(0, prefix.length)) continue;
      for (const hash of await this.#hashesUnder(prefix)) {
        const file = hash > after ? this.#file(hash) : null;
        if (file !== null) yield { hash, ...file };
      }
    }
  }

  /** The hashes of all that are held, in order, without a look at their files. */
  async *hashes(): AsyncGenerator<Hash> {
    for (const prefix of hexDirectories(this.#chunksDir).sort()) yield* await this.#hashesUnder(prefix);
  }

  /** Deletes a chunk that has not come again since `storedMs`; its bytes, or null where nothing was deleted. */
  deleteStored(hash: Hash, storedMs: number): Promise<number | null> {
    return this.#alone(hash, async () => {
      if (this.#storedMs(hash) !== storedMs) return null;
      const size = await this.size(hash);
      if (size !== null) await this.#remove(hash, size);
      return size;
    });
  }

  async #hashesUnder(prefix: string): Promise<Hash[]> {
    return (await readdir(join(this.#chunksDir, prefix))).filter(isHash).sort();
  }

  #file(hash: Hash): { storedMs: number; sizeBytes: number } | null {
    const found = statSync(this.#path(hash), { throwIfNoEntry: false });
    return found === undefined ? null : { storedMs: Math.floor(found.mtimeMs), sizeBytes: found.size };
  }

  #storedMs(hash: Hash): number | null {
    return this.#file(hash)?.storedMs ?? null;
  }

  /** On return the file says that the chunk came now, and says so after a power cut: a receipt may be given for it. */
  async #renew(hash: Hash): Promise<void> {
    const nowMs = this.#clock.now();
    const storedMs = this.#storedMs(hash);
    if (storedMs !== null && Math.abs(nowMs - storedMs) < RENEWED_AFTER_MS) return;
    const now = new Date(nowMs);
    await utimes(this.#path(hash), now, now);
    await syncFile(this.#path(hash));
  }

  /** Deletes a chunk that the disk does not give back. */
  async lose(hash: Hash): Promise<void> {
    if (await this.delete(hash)) this.#noteLoss(hash);
  }

  #noteLoss(hash: Hash): void {
    this.#lost += 1;
    this.#onLoss(hash);
  }

  #write(hash: Hash, bytes: Uint8Array): Promise<void> {
    if (bytes.length <= LOGGED_BYTES_MAX) return this.#writeLog.write(this.#path(hash), bytes);
    return writeDurably(join(this.#temporaryDir, randomUUID()), this.#path(hash), [bytes]);
  }

  /** Whether the chunk is there, intact. A corrupt file is deleted. */
  async #has(hash: Hash, bytes: Uint8Array): Promise<boolean> {
    // To ask first is cheap: to open what is not there, and to make an error of it, takes twenty times as long.
    if (!existsSync(this.#path(hash))) return false;
    return this.#hasSame(hash, bytes) || (await this.#discardCorrupt(hash)) !== null;
  }

  /** Synchronous: a small chunk that comes again was written a moment ago, and three trips to another thread cost more. */
  #hasSame(hash: Hash, bytes: Uint8Array): boolean {
    if (bytes.length > LOGGED_BYTES_MAX) return false;
    try {
      return readFileSync(this.#path(hash)).equals(bytes);
    } catch (error) {
      // The slower look says what is wrong with it.
      if (error instanceof Error && "code" in error) return false;
      throw error;
    }
  }

  async #discardCorrupt(hash: Hash): Promise<number | null> {
    const found = await this.#inspect(hash);
    if (found === null || found.intact) return found?.size ?? null;
    this.#log.error({ chunk: hash, bytes: found.size }, "a chunk was corrupt on disk and is deleted");
    await this.#remove(hash, found.size);
    this.#noteLoss(hash);
    return null;
  }

  async #remove(hash: Hash, size: number): Promise<void> {
    await rm(this.#path(hash));
    this.#room.remove(size);
    this.#count -= 1;
    this.#bytes -= size;
  }

  async #inspect(hash: Hash): Promise<{ size: number; intact: boolean } | null> {
    // Asked twice for each new chunk: to open it, and to make an error of it, takes twenty times as long.
    if (!existsSync(this.#path(hash))) return null;
    const digest = startDigest();
    const buffer = new Uint8Array(READ_PIECE_BYTES);
    let size = 0;
    try {
      for await (const piece of readPieces(this.#path(hash), () => buffer)) {
        digest.update(piece);
        size += piece.length;
      }
    } catch (error) {
      if (isFileError(error, "ENOENT")) return null;
      throw error;
    }
    return { size, intact: digest.digest() === hash };
  }

  /** Runs `operation` after those begun on the same hash, whether they succeeded or not. */
  #alone<T>(hash: Hash, operation: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(hash) ?? Promise.resolve();
    const mine = before.then(operation, operation).finally(() => {
      if (this.#busy.get(hash) === mine) this.#busy.delete(hash);
    });
    this.#busy.set(hash, mine);
    return mine;
  }

  // Synchronous: at the start nothing else runs, and 100,000 asynchronous stats take several times as long.
  #countUnder(path: string, prefix: string): void {
    for (const name of readdirSync(path)) {
      if (isHash(name) && name.startsWith(prefix)) this.#countFound(join(path, name));
      else this.#log.warn({ path: join(path, name) }, "ignored a file that is not a chunk");
    }
  }

  #countFound(path: string): void {
    const { size } = statSync(path);
    this.#room.add(size);
    this.#countIn(size);
  }

  #countIn(size: number): void {
    this.#count += 1;
    this.#bytes += size;
  }

  #path(hash: Hash): string {
    return join(this.#chunksDir, hash.slice(0, 2), hash);
  }
}

/** The bytes of a file, each piece in a buffer of its own if `nextBuffer` gives one. */
async function* readPieces(path: string, nextBuffer: () => Uint8Array): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(nextBuffer());
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** A file's bytes, no more than the first `maxBytes` and one; null where there is no such file. */
async function readWhole(path: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      return await readFully(file, new Uint8Array(Math.min(size, maxBytes + 1)));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isFileError(error, "ENOENT")) return null;
    throw error;
  }
}

async function readFully(
  file: FileHandle,
  buffer: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
