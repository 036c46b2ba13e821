// What operators have blocked, as this isolate knows it: a copy of the root shard's list, brought up to date with one call
// in two seconds at most. Asking it costs nothing, so every way out asks: no request pays a call of its own.

import { createMiddleware } from "hono/factory";
import type { DenialsMark, DenialsUpdate } from "../durable-objects/denials-table.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import { type Denial, denialError } from "../lib/denial.ts";
import type { Hash } from "../lib/hash.ts";
import { type Manifest, namedHashes } from "../lib/manifest.ts";
import { type Domain, domainHashOf } from "../lib/names.ts";
import { type AppEnv, indexOf } from "./app.ts";

/** So long an isolate that does not know of a change yet may go on. */
export const DENIALS_CACHE_MS = 2000;

export class Denylist {
  readonly #denials: ReadonlyMap<Hash, Denial>;
  readonly mark: DenialsMark;

  constructor(denials: ReadonlyMap<Hash, Denial>, mark: DenialsMark) {
    this.#denials = denials;
    this.mark = mark;
  }

  /** Changes with the list. */
  get tag(): string {
    return `${this.mark.epoch}.${this.mark.sequence}`;
  }

  updated({ isWhole, denials, epoch, sequence }: DenialsUpdate): Denylist {
    if (!isWhole && denials.length === 0) return this;
    const added = denials.map((denial) => [denial.hash, denial] as const);
    return new Denylist(new Map([...(isWhole ? [] : this.#denials), ...added]), { epoch, sequence });
  }

  get isEmpty(): boolean {
    return this.#denials.size === 0;
  }

  has(hash: Hash): boolean {
    return this.#denials.has(hash);
  }

  /** Throws `gone` or `unavailable-for-legal-reasons` for the first of these that is blocked. */
  check(...hashes: Hash[]): void {
    if (this.isEmpty) return;
    for (const hash of hashes) {
      const denial = this.#denials.get(hash);
      if (denial !== undefined) throw denialError(denial);
    }
  }

  checkName(domain: Domain, nameHash: Hash): void {
    if (!this.isEmpty) this.check(domainHashOf(domain), nameHash);
  }

  /** What an object is made of, as far as its Manifest says. The chunks of parts are looked at as they are read. */
  checkManifest(hash: Hash, manifest: Manifest): void {
    if (!this.isEmpty) this.check(hash, ...namedHashes(manifest));
  }

  /** As checkName, for those who leave out what they may not give. */
  hasName(domain: Domain, nameHash: Hash): boolean {
    return !this.isEmpty && (this.has(domainHashOf(domain)) || this.has(nameHash));
  }
}

/** The list as this isolate has it. */
export function denylist(): Denylist {
  return current;
}

/** Before a route that gives something out: the list is then DENIALS_CACHE_MS old at most. */
export const keepDenylistFresh = createMiddleware<AppEnv>(async (c, next) => {
  if (untilMs <= Date.now()) await refreshDenylist(indexOf(c));
  await next();
});

let current = new Denylist(new Map(), { epoch: null, sequence: 0 });
let untilMs = 0;

/** Asks for what has changed, now. */
export async function refreshDenylist(index: IndexClient): Promise<void> {
  const asked = current;
  const update = await index.root().denialsSince(asked.mark);
  // Where another request has brought the copy further meanwhile, a part of the list no longer fits.
  if (asked !== current && !update.isWhole) return;
  current = asked.updated(update);
  untilMs = Date.now() + DENIALS_CACHE_MS;
}
