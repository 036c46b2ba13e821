// How a name's shard takes in statements: each in a transaction of its own, accepted or refused by itself.

import { HoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import { queueForPeers } from "./outbox-table.ts";
import { applyRemoval, type NewRemoval, removalById } from "./removals-table.ts";
import type { AppendResult, Origin, Witness } from "./shard-answers.ts";
import { type RestoredStatements, restoreRemoval, restoreVersion } from "./statement-restore.ts";
import { appendVersion } from "./version-append.ts";
import { type NewVersion, versionById } from "./versions-table.ts";

export class StatementIntake {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #peerEdges: readonly string[];

  constructor(storage: DurableObjectStorage, peerEdges: readonly string[]) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#peerEdges = peerEdges;
  }

  append(version: NewVersion, from: Origin): AppendResult {
    return this.#accept(
      () => this.#handOn(version, from, appendVersion(this.#sql, version, Date.now())),
      version.witness,
      () => versionById(this.#sql, version.id)?.witness,
    );
  }

  remove(removal: NewRemoval, from: Origin): AppendResult {
    return this.#accept(
      () => this.#handOn(removal, from, applyRemoval(this.#sql, removal, Date.now())),
      removal.witness,
      () => removalById(this.#sql, removal.id)?.witness,
    );
  }

  /**
   * Takes statements back in the order in which they need each other: Removals by a domain's key, Versions by their
   * sequence, Removals by an author, who has to have signed one of the Versions.
   */
  restore({ versions, removals }: RestoredStatements): { id: Hash; result: AppendResult }[] {
    const isDomains = ({ right }: { right: string }) => right === "domain-key";
    const inOrder = [
      ...removals.filter(isDomains).map((one) => ({ one, write: () => restoreRemoval(this.#sql, one) })),
      ...versions
        .toSorted((a, b) => a.sequence - b.sequence)
        .map((one) => ({ one, write: () => restoreVersion(this.#sql, one) })),
      ...removals
        .filter((one) => !isDomains(one))
        .map((one) => ({ one, write: () => restoreRemoval(this.#sql, one) })),
    ];
    return inOrder.map(({ one, write }) => ({
      id: one.id,
      result: this.#accept(write, one.witness, () => undefined),
    }));
  }

  /** In the transaction that writes the statement: what was accepted, peers will hear of. A peer tells its own peers itself. */
  #handOn(statement: { id: Hash; nameHash: Hash }, from: Origin, isNew: boolean): boolean {
    if (isNew && from === "publisher") queueForPeers(this.#sql, this.#peerEdges, statement, Date.now());
    return isNew;
  }

  /** `write` says whether the statement is new; of one that is not, the witness is the one that is kept. */
  #accept(write: () => boolean, witness: Witness, keptWitness: () => Witness | undefined): AppendResult {
    try {
      const isNew = this.#storage.transactionSync(write);
      return isNew ? { status: "accepted", witness } : { status: "known", witness: keptWitness() ?? witness };
    } catch (error) {
      if (error instanceof HoldfastError)
        return { status: "refused", code: error.code, detail: error.message };
      throw error;
    }
  }
}
