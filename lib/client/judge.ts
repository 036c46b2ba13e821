// By what right the statements about a domain's names were signed, as this client sees it: by DNS as it is now, else by the
// witnesses of edges that it trusts. No server's word counts.

import { authorizeFor, type Claim, type Right } from "../authority.ts";
import type { AuthorKeys, DomainKeyResolver, DomainKeys } from "../domain-keys.ts";
import { NO_TRUSTED_EDGES, type TrustedEdges, witnessedAt, witnessedRight } from "../earlier-keys.ts";
import { type HoldfastError, isHoldfastError } from "../error.ts";
import type { Domain } from "../names.ts";
import { fingerprintOf } from "../openssh-key.ts";
import { claimOf } from "../publication.ts";
import type { VerifiedRemoval } from "../removal.ts";
import { predecessorsOf, stepOf, verifyRotations } from "../rotation.ts";
import type { SignedStatement } from "../statement.ts";
import type { VerifiedVersion } from "../version.ts";

export interface JudgeOptions {
  domainKeys: DomainKeyResolver;
  /** Whose witnesses count for keys that DNS shows no longer. */
  trustedEdges?: (() => Promise<TrustedEdges>) | undefined;
}

/** What came along with a statement. */
export interface Evidence {
  witnesses: readonly SignedStatement[];
  delegation: SignedStatement | null;
}

/** A right, or why there is none. */
export type Verdict =
  | { right: Right; isAuthorVerified: boolean; unverified: null }
  | { right: null; isAuthorVerified: false; unverified: HoldfastError };

/** What may be wrong with a domain in DNS while what it signed before still stands. */
const DOMAIN_CODES = ["domain-not-found", "no-domain-key"] as const;

export class Judge {
  readonly #resolver: DomainKeyResolver;
  readonly #trusted: () => Promise<TrustedEdges>;
  readonly #domainKeys: DomainKeys | null;
  /** What is wrong with the domain itself; null where nothing is. */
  readonly domainProblem: HoldfastError | null;
  #predecessors: Promise<Set<string>> | null = null;

  private constructor(
    resolver: DomainKeyResolver,
    trusted: () => Promise<TrustedEdges>,
    domain: { keys: DomainKeys | null; problem: HoldfastError | null },
  ) {
    this.#resolver = resolver;
    this.#trusted = trusted;
    this.#domainKeys = domain.keys;
    this.domainProblem = domain.problem;
  }

  /** Throws where DNS cannot be asked about the domain, or contradicts itself. */
  static async open(domain: Domain, { domainKeys, trustedEdges }: JudgeOptions): Promise<Judge> {
    const resolver = askingAfreshOnce(domainKeys);
    const trusted = trustedEdges ?? (async () => NO_TRUSTED_EDGES);
    try {
      const keys = await resolver.resolve(domain);
      return new Judge(resolver, trusted, { keys, problem: null });
    } catch (error) {
      if (!isHoldfastError(error, ...DOMAIN_CODES)) throw error;
      return new Judge(resolver, trusted, { keys: null, problem: error });
    }
  }

  /** Whether the key that signed has named, step by step, one that DNS shows: it was the domain's, whenever that was. */
  async isPredecessor({ key }: VerifiedVersion): Promise<boolean> {
    if (this.#domainKeys === null || this.#domainKeys.rotations.length === 0) return false;
    this.#predecessors ??= predecessorKeys(this.#domainKeys);
    return (await this.#predecessors).has(fingerprintOf(key));
  }

  judgeVersion(version: VerifiedVersion, evidence: Evidence): Promise<Verdict> {
    return this.#judge(claimOf(version), version, evidence);
  }

  judgeRemoval(removal: VerifiedRemoval, evidence: Evidence): Promise<Verdict> {
    const { domain, author, time } = removal.body;
    const claim = { domain, author, key: removal.key, name: undefined, timeMs: Date.parse(time) };
    return this.#judge(claim, removal, evidence);
  }

  /** When a trusted edge accepted it, in milliseconds; null where none did. */
  async witnessedAt(version: VerifiedVersion, { witnesses }: Evidence): Promise<number | null> {
    return witnessedAt({ statement: version, witnesses }, await this.#trusted());
  }

  async #judge(
    claim: Claim,
    statement: VerifiedVersion | VerifiedRemoval,
    evidence: Evidence,
  ): Promise<Verdict> {
    try {
      const authority = await authorizeFor(this.#resolver, claim, evidence.delegation);
      const { right, isAuthorVerified } = authority;
      return { right, isAuthorVerified, unverified: null };
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      const witnessed = await witnessedRight({ statement, ...evidence }, await this.#trusted());
      return witnessed === null
        ? { right: null, isAuthorVerified: false, unverified: error }
        : { ...witnessed, unverified: null };
    }
  }
}

async function predecessorKeys({ domain, keys, rotations: published }: DomainKeys): Promise<Set<string>> {
  const { rotations } = await verifyRotations(domain, published);
  return predecessorsOf(
    keys.map(({ fingerprint }) => fingerprint),
    rotations.map(stepOf),
  );
}

/** However many statements DNS does not explain, it is asked a second time once, for each domain and author. */
function askingAfreshOnce(resolver: DomainKeyResolver): DomainKeyResolver {
  const domains = new Map<string, Promise<DomainKeys>>();
  const authors = new Map<string, Promise<AuthorKeys>>();
  const once = <T>(asked: Map<string, Promise<T>>, subject: string, ask: () => Promise<T>): Promise<T> => {
    const answer = asked.get(subject) ?? ask();
    asked.set(subject, answer);
    return answer;
  };
  return {
    resolve: (domain, { fresh = false } = {}) =>
      fresh
        ? once(domains, domain, () => resolver.resolve(domain, { fresh }))
        : (domains.get(domain) ?? resolver.resolve(domain)),
    resolveAuthor: (email, { fresh = false } = {}) =>
      fresh
        ? once(authors, email, () => resolver.resolveAuthor(email, { fresh }))
        : (authors.get(email) ?? resolver.resolveAuthor(email)),
  };
}
