// The signed Versions that this node was given, one file each with signature and witnesses, and an index in memory
// by (Name Hash, domain), rebuilt at the start. A node may have a Version without its parent: they come in any order.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type Hash, isHash } from "../../lib/hash.ts";
import type { Domain } from "../../lib/names.ts";
import { parseWith } from "../../lib/schema.ts";
import type { SignedStatement } from "../../lib/statement.ts";
import { compareNewestFirst, parseVersion, type Version, type VersionHead } from "../../lib/version.ts";
import { formatSigned, parseSigned, signedSchema, WITNESSES_MAX } from "../../lib/wire/signed.ts";
import { digestOf } from "./digest.ts";
import { hexDirectories, isFileError, makeDirectory } from "./durable-file.ts";
import { PartitionedIds } from "./partitioned-ids.ts";
import type { Room } from "./room.ts";
import type { WriteLog } from "./write-log.ts";

/** Versions are small and kept in the index's memory: about 500 bytes each. */
export const STATEMENTS_MAX = 200_000;
export const VERSIONS_PER_NAME_MAX = 10_000;
const STATEMENT_FILE_MAX = 2 * 1024 * 1024;

const fileSchema = v.strictObject({
  ...signedSchema.entries,
  witnesses: v.pipe(v.array(signedSchema), v.maxLength(WITNESSES_MAX)),
  delegation: v.optional(signedSchema),
});

/** A Version's signature and witnesses as they are kept. */
export interface KeptVersion extends SignedStatement {
  witnesses: SignedStatement[];
  delegation: SignedStatement | null;
}

/** A kept Version in its name's list. */
export interface IndexEntry extends VersionHead {
  manifest: Hash;
  fileBytes: number;
}

export class StatementStore {
  readonly #dir: string;
  readonly #writeLog: WriteLog;
  readonly #room: Room;
  readonly #log: Logger;
  readonly #byId = new Map<Hash, IndexEntry>();
  readonly #byName = new Map<string, IndexEntry[]>();
  readonly #names = new Set<Hash>();
  #onName: (nameHash: Hash) => void = () => undefined;
  readonly #byPartition = new PartitionedIds();
  /** The last change of each Version that is being changed. */
  readonly #changing = new Map<Hash, Promise<unknown>>();

  constructor(deps: { dir: string; writeLog: WriteLog; room: Room; log: Logger }) {
    this.#dir = join(deps.dir, "versions");
    this.#writeLog = deps.writeLog;
    this.#room = deps.room;
    this.#log = deps.log;
  }

  get size(): number {
    return this.#byId.size;
  }

  async start(): Promise<void> {
    await makeDirectory(this.#dir);
    for (const prefix of hexDirectories(this.#dir)) {
      for (const name of readdirSync(join(this.#dir, prefix)))
        this.#load(join(this.#dir, prefix, name), name);
      await nextTurn();
    }
  }

  has(id: Hash): boolean {
    return this.#byId.has(id);
  }

  /** Has `tell` called with each name of which a Version is kept from now on, and none was before. */
  onName(tell: (nameHash: Hash) => void): void {
    this.#onName = tell;
  }

  /** The names of which Versions are kept. */
  get names(): ReadonlySet<Hash> {
    return this.#names;
  }

  /** Newest first. */
  list(nameHash: Hash, domain: Domain): readonly IndexEntry[] {
    return this.#byName.get(nameKey(nameHash, domain)) ?? [];
  }

  /** Ids of the Versions whose Name Hash is in the partition. */
  idsIn(partition: number): Iterable<Hash> {
    return this.#byPartition.in(partition);
  }

  /** Null where the Version is not held. */
  async get(id: Hash): Promise<KeptVersion | null> {
    if (!this.has(id)) return null;
    return parseFile(await readFile(this.#path(id)), id);
  }

  /**
   * Keeps what `change` makes of the Version as it is kept (null where it is not); a change to null does nothing.
   * Changes of one Version come one after the other, so that no witness is lost between two. Throws `quota-exceeded` or `disk-full`.
   */
  update(
    id: Hash,
    version: Version,
    change: (kept: KeptVersion | null) => KeptVersion | null,
  ): Promise<void> {
    const run = async (): Promise<void> => {
      const next = change(await this.get(id));
      if (next !== null) await this.#write(id, version, next);
    };
    const before = this.#changing.get(id) ?? Promise.resolve();
    const mine = before.then(run, run).finally(() => {
      if (this.#changing.get(id) === mine) this.#changing.delete(id);
    });
    this.#changing.set(id, mine);
    return mine;
  }

  async #write(id: Hash, version: Version, kept: KeptVersion): Promise<void> {
    const before = this.#byId.get(id);
    if (before === undefined) this.#checkLimits(version);
    const bytes = formatFile(kept);
    await this.#room.use(bytes.length, () => this.#writeLog.write(this.#path(id), bytes));
    if (before === undefined) {
      if (this.list(version.nameHash, version.domain).length === 0) this.#onName(version.nameHash);
      this.#insert(version, headOf(id, version, bytes.length));
    } else {
      this.#room.remove(before.fileBytes);
      before.fileBytes = bytes.length;
    }
  }

  #checkLimits(version: Version): void {
    const siblings = this.list(version.nameHash, version.domain).length;
    if (this.size >= STATEMENTS_MAX || siblings >= VERSIONS_PER_NAME_MAX) {
      throw new HoldfastError("quota-exceeded", "this home node keeps as many Versions as it can index");
    }
  }

  // Synchronous, as the scan of the chunks is. A file that does not parse stays where it is, for people to look at.
  #load(path: string, name: string): void {
    try {
      if (!isHash(name)) throw new HoldfastError("invalid-hash", "the file's name is not a Version's id");
      const { size } = statSync(path);
      if (size > STATEMENT_FILE_MAX) throw new HoldfastError("body-too-large", "the file is too large");
      const version = parseVersion(parseFile(readFileSync(path), name).bytes);
      this.#room.add(size);
      this.#insert(version, headOf(name, version, size));
    } catch (error) {
      if (!isHoldfastError(error) && !isFileError(error, "EISDIR")) throw error;
      this.#log.warn({ path, err: error }, "ignored a file that is not a kept Version");
    }
  }

  #insert(version: Version, entry: IndexEntry): void {
    const key = nameKey(version.nameHash, version.domain);
    const entries = this.#byName.get(key) ?? [];
    const later = entries.findIndex((other) => compareNewestFirst(entry, other) < 0);
    entries.splice(later === -1 ? entries.length : later, 0, entry);
    this.#byName.set(key, entries);
    this.#names.add(version.nameHash);
    this.#byId.set(entry.id, entry);
    this.#byPartition.add(version.nameHash, entry.id);
  }

  #path(id: Hash): string {
    return join(this.#dir, id.slice(0, 2), id);
  }
}

function headOf(id: Hash, version: Version, fileBytes: number): IndexEntry {
  const { sequence, time, previous, manifest } = version;
  return { id, sequence, time, previous, manifest, fileBytes };
}

function nameKey(nameHash: Hash, domain: Domain): string {
  return `${nameHash} ${domain}`;
}

function formatFile(kept: KeptVersion): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      ...formatSigned(kept),
      witnesses: kept.witnesses.map(formatSigned),
      ...(kept.delegation === null ? {} : { delegation: formatSigned(kept.delegation) }),
    }),
  );
}

function parseFile(bytes: Uint8Array, id: Hash): KeptVersion {
  const { witnesses, delegation, ...signed } = parseWith(
    fileSchema,
    parseJson(bytes, STATEMENT_FILE_MAX),
    "invalid-statement",
  );
  const statement = parseSigned(signed);
  if (digestOf(statement.bytes) !== id) {
    throw new HoldfastError("content-hash-mismatch", "the file is not the Version that its name says");
  }
  return {
    ...statement,
    witnesses: witnesses.map(parseSigned),
    delegation: delegation === undefined ? null : parseSigned(delegation),
  };
}
