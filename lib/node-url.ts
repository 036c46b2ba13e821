// The URL at which a home node says it can be reached. Everyone who reads from the node will follow it, so it must
// be a public https origin; http and loopback only where the operator of the edge allows local nodes.

import { HoldfastError } from "./error.ts";
import type { ReachCode } from "./reach.ts";
import { NODE_URL_MAX } from "./registration.ts";

const PRIVATE_SUFFIX = /(^|\.)(localhost|local|internal|home\.arpa|onion|test|invalid|example)$/;
const IP_LITERAL = /^(\[.*\]|[\d.]+)$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** `origin`, or what is wrong: by a code, and in words. */
export type JudgedUrl = { ok: true; origin: string } | { ok: false; code: ReachCode; detail: string };

/** The origin (`https://host[:port]`) of a node's URL, or why nobody may be sent there. */
export function judgeNodeUrl(text: string, allowLocal: boolean): JudgedUrl {
  const url = parseUrl(text);
  if (url === null) return refusal("url-malformed", "the node's URL is not a URL");
  if (!isBareOrigin(url)) {
    return refusal("url-malformed", "a node's URL is an origin: no path, query, fragment or credentials");
  }
  const isWeb = /^https?:$/.test(url.protocol);
  if (allowLocal && isWeb && isLoopbackHost(url.hostname)) return { ok: true, origin: url.origin };
  if (url.protocol !== "https:") return refusal("url-not-https", "a node's URL must be https");
  if (!isPublicName(url.hostname)) {
    return refusal("host-not-public", "a node's URL must have a public host name");
  }
  return { ok: true, origin: url.origin };
}

/** As judgeNodeUrl. Throws `invalid-url`. */
export function parseNodeUrl(text: string, allowLocal: boolean): string {
  const judged = judgeNodeUrl(text, allowLocal);
  if (!judged.ok) throw new HoldfastError("invalid-url", judged.detail);
  return judged.origin;
}

/** True for the host of a URL that leads to the machine itself, whoever follows it. */
export function isLoopbackHost(hostname: string): boolean {
  return LOOPBACK.test(hostname);
}

function isPublicName(hostname: string): boolean {
  return !IP_LITERAL.test(hostname) && !PRIVATE_SUFFIX.test(hostname) && hostname.includes(".");
}

function isBareOrigin({ username, password, pathname, search, hash }: URL): boolean {
  return username === "" && password === "" && pathname === "/" && search === "" && hash === "";
}

function refusal(code: ReachCode, detail: string): JudgedUrl {
  return { ok: false, code, detail };
}

function parseUrl(text: string): URL | null {
  if (text.length > NODE_URL_MAX) return null;
  try {
    return new URL(text);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
