// How much one address may ask of this edge, and how much one domain may write, by the platform's own counters (Rate
// Limiting bindings): each data centre counts for itself, and a little behind. Asked before anything that costs.

import { createMiddleware } from "hono/factory";
import type { Env } from "../durable-objects/env.ts";
import type { DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import type { Fetch } from "../lib/fetch.ts";
import { customerOf } from "../lib/ip-address.ts";
import type { Domain } from "../lib/names.ts";
import type { AppContext, AppEnv } from "./app.ts";

/** The bindings, and their periods as wrangler.toml has them: a binding does not tell. */
const BUDGETS = {
  reads: { binding: "READS_LIMIT", seconds: 10 },
  lookups: { binding: "LOOKUPS_LIMIT", seconds: 10 },
  writes: { binding: "WRITES_LIMIT", seconds: 10 },
  registrations: { binding: "REGISTRATIONS_LIMIT", seconds: 60 },
  dnsQuestions: { binding: "DNS_LIMIT", seconds: 60 },
  domainWrites: { binding: "DOMAIN_WRITES_LIMIT", seconds: 60 },
} as const satisfies Record<string, { binding: keyof Env; seconds: number }>;
type Budget = keyof typeof BUDGETS;
type AddressBudget = Exclude<Budget, "domainWrites">;

/** A request is counted by what it is, before its path or body is looked at any closer. */
export const limitRates = createMiddleware<AppEnv>(async (c, next) => {
  const budget = budgetOf(c.req.method, c.req.path);
  if (budget !== null) await spendAddress(c, budget);
  await next();
});

/** Null for what costs the edge nothing beyond the request. */
export function budgetOf(method: string, path: string): AddressBudget | null {
  const [, first = "", second = ""] = path.split("/");
  const isPost = method === "POST";
  if (first === "node") return "registrations";
  if (first === "names" || first === "operator") return "writes";
  if (first === "chunk" && isPost)
    return ["locate", "suspect", "kept"].includes(second) ? "lookups" : "writes";
  if (first === "name" && isPost) return "lookups";
  if (first === "via" && isPost) return "writes";
  if (first === "peer") return isPost ? "writes" : "lookups";
  if (first === "closest" || first === "domain" || first === "status") return "lookups";
  if (first === "obj" && path.endsWith("/")) return "lookups";
  return ["obj", "name", "version", "chunk", "via"].includes(first) ? "reads" : null;
}

/** Throws `rate-limited` where the address has used its budget up. */
export function spendAddress(c: AppContext, budget: AddressBudget): Promise<void> {
  return spend(c, budget, customerOf(c.req.header("CF-Connecting-IP") ?? "unknown"), "your address");
}

/** As spendAddress. Only for a domain whose key has signed: strangers could use its budget up in its name. */
export function spendDomain(c: AppContext, domain: Domain): Promise<void> {
  return spend(c, "domainWrites", domain, domain);
}

/** Counts the questions that `resolver` asks DNS by the fetch that it is made with, at the expense of whoever causes them. */
export function limitQuestions(
  c: AppContext,
  create: (fetch: Fetch) => DomainKeyResolver,
): DomainKeyResolver {
  // A resolver takes whatever its fetch throws for a fault of DNS.
  let refusal: HoldfastError | null = null;
  const resolver = create(async (url, init) => {
    try {
      await spendAddress(c, "dnsQuestions");
    } catch (error) {
      if (isHoldfastError(error)) refusal = error;
      throw error;
    }
    return fetch(url, init);
  });
  const orRefusal = async <T>(asked: Promise<T>): Promise<T> => {
    try {
      return await asked;
    } catch (error) {
      throw refusal ?? error;
    }
  };
  return {
    resolve: (...args) => orRefusal(resolver.resolve(...args)),
    resolveAuthor: (...args) => orRefusal(resolver.resolveAuthor(...args)),
  };
}

async function spend(c: AppContext, budget: Budget, key: string, who: string): Promise<void> {
  const { binding, seconds } = BUDGETS[budget];
  const limiter = c.env.RATE_LIMITS === "off" ? undefined : c.env[binding];
  if (limiter === undefined || (await limiter.limit({ key })).success) return;
  c.set("retryAfterSeconds", seconds);
  throw new HoldfastError("rate-limited", `${who} asks too much of this edge: wait ${seconds} seconds`);
}
