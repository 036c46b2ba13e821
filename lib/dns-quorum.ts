// Several resolvers asked the same question. Two must say the same, so that one that lies, or whose answer was changed
// on the way, is noticed. What is compared are the Holdfast records and whether the name exists: order and TTLs differ
// between honest caches, and other TXT records are nobody's business here.

import { queryTxt, type TxtAnswer } from "./dns.ts";
import { selectDomainRecords } from "./domain-records.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import type { Fetch } from "./fetch.ts";

/** So many answers decide; of three, two that agree. */
export const ANSWERS_MAX = 3;
/** So many resolvers must say the same, where that many are configured. */
export const AGREEMENT = 2;
/** Characters: a key's record differs from another's in its last third. */
const RECORD_SHOWN_MAX = 120;

export interface QuorumOptions {
  fetch: Fetch;
  /** The first two are asked at once; a later one where one of them fails, or where they disagree. */
  dohUrls: readonly string[];
  /** For each resolver asked. */
  timeoutMs?: number | undefined;
}

/** What resolvers say of a name. */
export interface AgreedAnswer extends Omit<TxtAnswer, "texts"> {
  /** The Holdfast records among the texts. */
  records: string[];
  /** The URLs of the resolvers that say so. */
  resolvers: string[];
  /** Why it is not to be relied on for a write: several resolvers are configured, and one alone answered. */
  shortfall: HoldfastError | null;
}

interface Answer extends TxtAnswer {
  resolver: string;
  records: string[];
  /** Equal where the answers say the same. */
  key: string;
}

/** Throws `dns-failed` where no resolver answers, `dns-disagreement` where no two answers say the same. */
export async function askResolvers(name: string, options: QuorumOptions): Promise<AgreedAnswer> {
  const failures: HoldfastError[] = [];
  const dohUrls = new Set(options.dohUrls);
  const queue = [...dohUrls];
  /** The next answer that can be used; null where nobody is left to ask. */
  const next = async (): Promise<Answer | null> => {
    for (let url = queue.shift(); url !== undefined; url = queue.shift()) {
      const answer = await askOne(name, url, options);
      if (!(answer instanceof HoldfastError)) return answer;
      failures.push(answer);
    }
    return null;
  };
  const answers = (await Promise.all([next(), next()])).filter((answer) => answer !== null);
  while (agreeing(answers) === null && answers.length >= AGREEMENT && answers.length < ANSWERS_MAX) {
    const answer = await next();
    if (answer === null) break;
    answers.push(answer);
  }
  const [only] = answers;
  if (only === undefined) throw failed(failures);
  const agreed = agreeing(answers);
  if (agreed !== null) return merge(agreed, null);
  if (answers.length > 1) throw disagreement(name, answers, failures);
  return merge([only], dohUrls.size > 1 ? failed(failures) : null);
}

async function askOne(
  name: string,
  dohUrl: string,
  { fetch, timeoutMs }: QuorumOptions,
): Promise<Answer | HoldfastError> {
  try {
    const answer = await queryTxt({
      name,
      dohUrl,
      fetch,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    const records = selectDomainRecords(answer.texts);
    const key = JSON.stringify([answer.exists, [...new Set(records)].sort()]);
    return { ...answer, resolver: dohUrl, records, key };
  } catch (error) {
    if (!isHoldfastError(error, "dns-failed")) throw error;
    return error;
  }
}

/** The first answers that say the same, as many as it takes; null where there are none. */
function agreeing(answers: readonly Answer[]): Answer[] | null {
  for (const { key } of answers) {
    const same = answers.filter((other) => other.key === key);
    if (same.length >= AGREEMENT) return same;
  }
  return null;
}

/** The least of what each says: the smallest TTL, and DNSSEC only where every one has validated it. */
function merge(answers: readonly Answer[], shortfall: HoldfastError | null): AgreedAnswer {
  const [first] = answers;
  if (first === undefined) throw new TypeError("no answers to merge");
  return {
    exists: first.exists,
    target: first.target,
    records: first.records,
    ad: answers.every(({ ad }) => ad),
    ttlSeconds: Math.min(...answers.map(({ ttlSeconds }) => ttlSeconds)),
    resolvers: answers.map(({ resolver }) => resolver),
    shortfall,
  };
}

function failed(failures: readonly HoldfastError[]): HoldfastError {
  return new HoldfastError("dns-failed", failures.map(({ message }) => message).join("; "), {
    cause: failures,
  });
}

function disagreement(
  name: string,
  answers: readonly Answer[],
  failures: readonly HoldfastError[],
): HoldfastError {
  const said = [
    ...answers.map((answer) => describe(answer, answers)),
    ...failures.map(({ message }) => message),
  ];
  return new HoldfastError(
    "dns-disagreement",
    `resolvers differ about ${name}: ${said.join("; ")}. If its records were changed just now, try again when their TTL has passed`,
  );
}

/** What the resolver says, and the first record that not all others show. */
function describe({ resolver, exists, records }: Answer, answers: readonly Answer[]): string {
  if (!exists) return `${resolver} says that it does not exist`;
  const own = records.find((record) => !answers.every((other) => other.records.includes(record)));
  const which =
    own === undefined
      ? ""
      : `, ${JSON.stringify(own.slice(0, RECORD_SHOWN_MAX).replace(/[^\x20-\x7e]/g, "?"))} among them`;
  return `${resolver} shows ${records.length} Holdfast records${which}`;
}
