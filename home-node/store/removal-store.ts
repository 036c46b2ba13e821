// The Removals that this node was given, one file each, and an index in memory by (Name Hash, domain), rebuilt at the start.
// A node answers with them beside the Versions of a name; whom they take what back from, readers judge.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type Hash, isHash } from "../../lib/hash.ts";
import type { Domain } from "../../lib/names.ts";
import { REMOVALS_PER_NAME_MAX, removalKind } from "../../lib/removal.ts";
import { parseWith } from "../../lib/schema.ts";
import { parseStatement, type SignedStatement } from "../../lib/statement.ts";
import { formatSigned, parseSigned, signedSchema, WITNESSES_MAX } from "../../lib/wire/signed.ts";
import { digestOf } from "./digest.ts";
import { hexDirectories, isFileError, makeDirectory } from "./durable-file.ts";
import { PartitionedIds } from "./partitioned-ids.ts";
import type { Room } from "./room.ts";
import type { WriteLog } from "./write-log.ts";

/** They are kept in memory, about 2 KiB each. */
export const REMOVALS_MAX = 20_000;
const REMOVAL_FILE_MAX = 2 * 1024 * 1024;

const fileSchema = v.strictObject({
  ...signedSchema.entries,
  witnesses: v.pipe(v.array(signedSchema), v.maxLength(WITNESSES_MAX)),
  delegation: v.optional(signedSchema),
  byDomain: v.boolean(),
});

export interface KeptRemoval extends SignedStatement {
  witnesses: SignedStatement[];
  delegation: SignedStatement | null;
  /** Signed by a key of the domain: those of authors may not crowd it out. */
  byDomain: boolean;
}

interface Entry extends KeptRemoval {
  id: Hash;
}

export class RemovalStore {
  readonly #dir: string;
  readonly #writeLog: WriteLog;
  readonly #room: Room;
  readonly #log: Logger;
  readonly #byId = new Map<Hash, Entry>();
  readonly #byName = new Map<string, Entry[]>();
  #onName: (nameHash: Hash) => void = () => undefined;
  readonly #byPartition = new PartitionedIds();
  readonly #writing = new Map<Hash, Promise<void>>();

  constructor(deps: { dir: string; writeLog: WriteLog; room: Room; log: Logger }) {
    this.#dir = join(deps.dir, "removals");
    this.#writeLog = deps.writeLog;
    this.#room = deps.room;
    this.#log = deps.log;
  }

  async start(): Promise<void> {
    await makeDirectory(this.#dir);
    for (const prefix of hexDirectories(this.#dir)) {
      for (const name of readdirSync(join(this.#dir, prefix)))
        this.#load(join(this.#dir, prefix, name), name);
    }
  }

  /** Has `tell` called with each name of which a Removal is kept from now on, and none was before. */
  onName(tell: (nameHash: Hash) => void): void {
    this.#onName = tell;
  }

  /** The names of which Removals are kept; one that several domains use comes several times. */
  names(): Hash[] {
    return [...this.#byName.values()].flatMap((entries) =>
      entries.slice(0, 1).map((one) => nameOf(one).nameHash),
    );
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Ids of the Removals whose Name Hash is in the partition. */
  idsIn(partition: number): Iterable<Hash> {
    return this.#byPartition.in(partition);
  }

  get(id: Hash): KeptRemoval | null {
    return this.#byId.get(id) ?? null;
  }

  /** Those of the domain first. */
  list(nameHash: Hash, domain: Domain): readonly KeptRemoval[] {
    return (this.#byName.get(nameKey(nameHash, domain)) ?? []).toSorted(
      (a, b) => Number(b.byDomain) - Number(a.byDomain),
    );
  }

  /** Keeps a verified Removal; false where it was kept already. Throws `quota-exceeded` or `disk-full`. */
  async keep(id: Hash, removal: KeptRemoval): Promise<boolean> {
    await this.#writing.get(id)?.catch(() => undefined); // its failure is reported to who asked for it
    if (this.#byId.has(id)) return false;
    const written = this.#write(id, removal).finally(() => this.#writing.delete(id));
    this.#writing.set(id, written);
    await written;
    return true;
  }

  async #write(id: Hash, removal: KeptRemoval): Promise<void> {
    const entry = { ...removal, id };
    this.#checkLimits(entry);
    const bytes = formatFile(removal);
    await this.#room.use(bytes.length, () =>
      this.#writeLog.write(join(this.#dir, id.slice(0, 2), id), bytes),
    );
    if (!this.#byName.has(keyOf(entry))) this.#onName(nameOf(entry).nameHash);
    this.#insert(entry);
  }

  #checkLimits(entry: Entry): void {
    const its = (this.#byName.get(keyOf(entry)) ?? []).filter(({ byDomain }) => byDomain === entry.byDomain);
    if (this.#byId.size >= REMOVALS_MAX || its.length >= REMOVALS_PER_NAME_MAX / 2) {
      throw new HoldfastError("quota-exceeded", "this home node keeps as many Removals as it can");
    }
  }

  #insert(entry: Entry): void {
    const { nameHash, domain } = parseStatement(removalKind, entry.bytes);
    const name = nameKey(nameHash, domain);
    this.#byId.set(entry.id, entry);
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), entry]);
    this.#byPartition.add(nameHash, entry.id);
  }

  // Synchronous, as the scan of the Versions is. A file that does not parse stays, for people to look at.
  #load(path: string, name: string): void {
    try {
      if (!isHash(name)) throw new HoldfastError("invalid-hash", "the file's name is not a Removal's id");
      const bytes = readFileSync(path);
      const removal = parseFile(bytes, name);
      this.#room.add(bytes.length);
      this.#insert({ ...removal, id: name });
    } catch (error) {
      if (!isHoldfastError(error) && !isFileError(error, "EISDIR")) throw error;
      this.#log.warn({ path, err: error }, "ignored a file that is not a kept Removal");
    }
  }
}

function keyOf(entry: SignedStatement): string {
  const { nameHash, domain } = nameOf(entry);
  return nameKey(nameHash, domain);
}

function nameOf({ bytes }: SignedStatement): { nameHash: Hash; domain: Domain } {
  return parseStatement(removalKind, bytes);
}

function nameKey(nameHash: Hash, domain: Domain): string {
  return `${nameHash} ${domain}`;
}

function formatFile({ witnesses, delegation, byDomain, ...signed }: KeptRemoval): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      ...formatSigned(signed),
      witnesses: witnesses.map(formatSigned),
      ...(delegation === null ? {} : { delegation: formatSigned(delegation) }),
      byDomain,
    }),
  );
}

function parseFile(bytes: Uint8Array, id: Hash): KeptRemoval {
  const { witnesses, delegation, byDomain, ...signed } = parseWith(
    fileSchema,
    parseJson(bytes, REMOVAL_FILE_MAX),
    "invalid-statement",
  );
  const statement = parseSigned(signed);
  if (digestOf(statement.bytes) !== id)
    throw new HoldfastError("content-hash-mismatch", "the file is not the Removal that its name says");
  parseStatement(removalKind, statement.bytes);
  return {
    ...statement,
    witnesses: witnesses.map(parseSigned),
    delegation: delegation === undefined ? null : parseSigned(delegation),
    byDomain,
  };
}
