// What nodes pledge to a domain that they list, from the root shard's members. "all" is for nobody in particular and counts
// for none; a list is divided evenly. A pledge is the node's own word: those that did not keep what they had, or are
// gone, count no more.

import { countsAsCopy, keeperState } from "../lib/durability/copies.ts";
import { ExpiringCache } from "../lib/expiring-cache.ts";
import type { NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { PLACED_STANDING_MIN } from "../lib/overlay/placement.ts";
import { pledgedTo } from "../lib/pledge.ts";
import { SUPPORTERS_LISTED_MAX } from "../lib/wire/status.ts";
import { type Member, membersPledgedTo } from "./members-table.ts";

/** How long a domain's sum is used again: a pledge that is new is seen at once, one that ended by then. */
export const PLEDGES_CACHE_MS = 60_000;
const PLEDGES_CACHED_MAX = 1000;

/** A node that lists the domain. */
export interface Pledger {
  id: NodeId;
  name: string | null;
  /** Its pledge's part for this domain; 0 where it does not count. */
  pledgedBytes: number;
  online: boolean;
  firstSeenMs: number;
  standing: number;
}

export interface DomainPledges {
  pledgedBytes: number;
  /** Nodes whose pledges count. */
  supporters: number;
  /** The largest pledges first, SUPPORTERS_LISTED_MAX at most. */
  listed: Pledger[];
}

export class Pledges {
  readonly #sql: SqlStorage;
  readonly #graceMs: number;
  #known = new ExpiringCache<DomainPledges>(PLEDGES_CACHED_MAX);

  constructor(sql: SqlStorage, graceMs: number) {
    this.#sql = sql;
    this.#graceMs = graceMs;
  }

  to(domain: Domain, nowMs: number): DomainPledges {
    const known = this.#known.get(domain, nowMs);
    if (known !== null) return known;
    const pledges = this.#sum(domain, nowMs);
    this.#known.set(domain, pledges, nowMs + PLEDGES_CACHE_MS);
    return pledges;
  }

  /** A member changed. */
  changed({ domains }: Pick<Member, "domains">): void {
    if (domains !== "all") this.#known = new ExpiringCache(PLEDGES_CACHED_MAX);
  }

  #sum(domain: Domain, nowMs: number): DomainPledges {
    const pledgers = membersPledgedTo(this.#sql, domain).map((member) =>
      this.#pledgerOf(member, domain, nowMs),
    );
    const counted = pledgers.filter(({ pledgedBytes }) => pledgedBytes > 0);
    return {
      pledgedBytes: counted.reduce((sum, { pledgedBytes }) => sum + pledgedBytes, 0),
      supporters: counted.length,
      listed: pledgers.sort((a, b) => b.pledgedBytes - a.pledgedBytes).slice(0, SUPPORTERS_LISTED_MAX),
    };
  }

  #pledgerOf(member: Member, domain: Domain, nowMs: number): Pledger {
    const { id, name, online, firstSeenMs, standing, pledgedBytes, domains } = member;
    const state = keeperState(member, { sinceMs: nowMs }, nowMs, this.#graceMs);
    const counts = standing >= PLACED_STANDING_MIN && countsAsCopy(state);
    const share = counts ? pledgedTo({ bytes: pledgedBytes, domains }, domain) : 0;
    return { id, name, online, firstSeenMs, standing, pledgedBytes: share };
  }
}
