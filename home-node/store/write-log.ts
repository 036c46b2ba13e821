// Group commit for small files. A file of its own costs two syncs (itself and its directory), some hundred a second; here
// whatever waits to be written goes into one log, is synced once, and only then is written to its place. The places are
// synced later, at a checkpoint, after which the log is deleted. What a crash left in a log is written again at the start.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type FileHandle, open, readdir, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { isHoldfastError } from "../../lib/error.ts";
import { countSchema, hashSchema, parseWith } from "../../lib/schema.ts";
import {
  diskFull,
  isDiskFull,
  isFileError,
  makeDirectory,
  syncDirectory,
  syncFile,
  syncFileSystem,
} from "./durable-file.ts";

/** Files up to this size are worth the second copy. */
export const LOGGED_BYTES_MAX = 128 * 1024;
/** One sync takes up to so many bytes with it. */
export const GROUP_BYTES_MAX = 8 * 1024 * 1024;
/** A log that has grown to this is checkpointed; what is written meanwhile goes into the next one. */
export const LOG_BYTES_MAX = 64 * 1024 * 1024;
/** After so long without a write, too: then a start has nothing to read. */
export const LOG_IDLE_MS = 5_000;
/** Up to so many files are synced one by one: what else others have written on the file system need not wait for them. */
export const FILES_SYNCED_SINGLY_MAX = 64;
const RECORD_HEAD_MAX = 4096;
/** Logs are written again in the order of their names. */
const COUNT_DIGITS = 12;
const NEW_LINE = 0x0a;

const headSchema = v.strictObject({
  /** Below the store's folder. */
  path: v.pipe(v.string(), v.regex(/^[a-z0-9/]+$/)),
  bytes: countSchema,
  sha256: hashSchema,
});

interface PendingWrite {
  path: string;
  bytes: Uint8Array;
  done: () => void;
  failed: (error: unknown) => void;
}

/** A log on disk and the files that it stands in for. */
interface OpenLog {
  path: string;
  handle: FileHandle;
  bytes: number;
  files: Set<string>;
}

export class WriteLog {
  readonly #dir: string;
  readonly #logsDir: string;
  readonly #log: Logger;
  #pending: PendingWrite[] = [];
  #current: OpenLog | null = null;
  #writing: Promise<void> | null = null;
  #checkpoints: Promise<void> = Promise.resolve();
  #idle: NodeJS.Timeout | null = null;
  #count = 0;

  constructor({ dir, log }: { dir: string; log: Logger }) {
    this.#dir = dir;
    this.#logsDir = join(dir, "log");
    this.#log = log;
  }

  /** Writes what a crash left. To be called before any file is read. */
  async start(): Promise<void> {
    await makeDirectory(this.#logsDir);
    const names = (await readdir(this.#logsDir)).sort();
    for (const name of names) await this.#replay(join(this.#logsDir, name));
  }

  /** On return the file is in its place, and survives a power cut. Throws `disk-full`. */
  write(path: string, bytes: Uint8Array): Promise<void> {
    const written = new Promise<void>((done, failed) => this.#pending.push({ path, bytes, done, failed }));
    this.#writing ??= this.#writeAll();
    return written;
  }

  /** Brings every file to disk at its own place; afterwards there is no log. */
  async stop(): Promise<void> {
    await this.#writing;
    await this.#checkpoint();
  }

  async #writeAll(): Promise<void> {
    this.#stopIdling();
    // Whoever writes in the same turn shares the sync.
    await Promise.resolve();
    while (this.#pending.length > 0) await this.#writeGroup(this.#takeGroup());
    // In the same turn as the look above, so that no write falls between the two.
    this.#writing = null;
    this.#idle = setTimeout(() => void this.#checkpoint(), LOG_IDLE_MS);
    this.#idle.unref();
  }

  #takeGroup(): PendingWrite[] {
    let bytes = 0;
    const end = this.#pending.findIndex((write) => {
      bytes += write.bytes.length;
      return bytes > GROUP_BYTES_MAX;
    });
    return this.#pending.splice(0, end === -1 ? this.#pending.length : Math.max(1, end));
  }

  async #writeGroup(group: PendingWrite[]): Promise<void> {
    try {
      const log = await this.#openLog();
      await append(
        log,
        group.flatMap((write) => encodeRecord(relative(this.#dir, write.path), write.bytes)),
      );
      for (const { path, bytes } of group) writePlace(path, bytes);
      for (const { path } of group) log.files.add(path);
      for (const { done } of group) done();
      if (log.bytes >= LOG_BYTES_MAX) void this.#checkpoint();
    } catch (error) {
      // What the log has of this group may come back at a start; nobody was told that it is there. Nothing more goes into
      // this log: half a record at its end would hide what came after it.
      void this.#checkpoint();
      for (const { failed } of group) failed(isDiskFull(error) ? diskFull(error) : error);
    }
  }

  async #openLog(): Promise<OpenLog> {
    if (this.#current !== null) return this.#current;
    const path = join(this.#logsDir, String(this.#count++).padStart(COUNT_DIGITS, "0"));
    const handle = await open(path, "ax");
    await syncDirectory(this.#logsDir);
    this.#current = { path, handle, bytes: 0, files: new Set() };
    return this.#current;
  }

  /** Closes the log and deletes it when its files are on disk; one log after the other. */
  #checkpoint(): Promise<void> {
    this.#stopIdling();
    const log = this.#current;
    this.#current = null;
    if (log !== null) {
      this.#checkpoints = this.#checkpoints
        .then(() => settleFiles(log))
        .catch((error: unknown) => {
          // The log stays, and is written again at the next start.
          this.#log.error({ err: error, log: log.path }, "a log of small files could not be settled");
        });
    }
    return this.#checkpoints;
  }

  #stopIdling(): void {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
  }

  async #replay(path: string): Promise<void> {
    const files = new Set<string>();
    for (const record of records(readFileSync(path))) {
      const place = join(this.#dir, record.path);
      writePlace(place, record.bytes);
      files.add(place);
    }
    await settleFiles({ path, files, handle: await open(path, "r"), bytes: 0 });
    this.#log.info({ files: files.size }, "wrote again what was not settled at the last end");
  }
}

async function append(log: OpenLog, parts: Uint8Array[]): Promise<void> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const { bytesWritten } = await log.handle.writev(parts);
  if (bytesWritten !== length) throw new Error(`the log took ${bytesWritten} of ${length} bytes`);
  await log.handle.datasync();
  log.bytes += length;
}

// Synchronous: a group is a few megabytes in the page cache, and nobody in this process can see half a file.
function writePlace(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    if (!isFileError(error, "ENOENT")) throw error;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
}

/** Syncs the files of a log and the directories above them, then deletes the log. */
async function settleFiles({ path, handle, files }: OpenLog): Promise<void> {
  await handle.close();
  const isSynced = files.size > FILES_SYNCED_SINGLY_MAX && (await syncFileSystem(path));
  if (!isSynced) await syncEach(files);
  await rm(path);
  await syncDirectory(dirname(path));
}

async function syncEach(files: ReadonlySet<string>): Promise<void> {
  const directories = new Set<string>();
  for (const file of files) {
    await syncFile(file).catch(ignoreDeleted);
    directories
      .add(dirname(file))
      .add(dirname(dirname(file)))
      .add(dirname(dirname(dirname(file))));
  }
  for (const directory of directories) await syncDirectory(directory);
}

function ignoreDeleted(error: unknown): void {
  if (!isFileError(error, "ENOENT")) throw error;
}

/** A head in JSON on a line of its own, then the bytes. */
function encodeRecord(path: string, bytes: Uint8Array): Uint8Array[] {
  const head = { path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  return [new TextEncoder().encode(`${JSON.stringify(head)}\n`), bytes];
}

/** The whole records of a log; a crash may have left a part of one at its end. */
function* records(log: Uint8Array): Generator<{ path: string; bytes: Uint8Array }> {
  for (let at = 0; at < log.length; ) {
    const record = recordAt(log, at);
    if (record === null) return;
    yield record;
    at = record.end;
  }
}

function recordAt(log: Uint8Array, at: number): { path: string; bytes: Uint8Array; end: number } | null {
  const lineEnd = log.subarray(at, at + RECORD_HEAD_MAX).indexOf(NEW_LINE) + at;
  const head = lineEnd < at ? null : parseHead(log.subarray(at, lineEnd));
  if (head === null) return null;
  const end = lineEnd + 1 + head.bytes;
  const bytes = log.subarray(lineEnd + 1, end);
  const isWhole = createHash("sha256").update(bytes).digest("hex") === head.sha256;
  return isWhole ? { path: head.path, bytes, end } : null;
}

function parseHead(line: Uint8Array): v.InferOutput<typeof headSchema> | null {
  try {
    return parseWith(headSchema, parseJson(line, RECORD_HEAD_MAX), "invalid-request");
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}
