// The URL at which a home node says it can be reached. Everyone who reads from the node will follow it, so it must
// be a public https origin; http and loopback only where the operator of the edge allows local nodes.

import { HoldfastError } from "./error.ts";
import type { ReachCode } from "./reach.ts";
import { NODE_URL_MAX } from "./registration.ts";

/** Names that no public DNS answers for (RFC 6761 and what ICANN will not delegate), and machines call themselves by. */
const PRIVATE_SUFFIX =
  /(^|\.)(localhost|localdomain6?|local|internal|intranet|lan|home|corp|private|onion|alt|arpa|test|invalid|example)$/;
/** As DNS writes hosts, with a last label that no parser takes for a number, and without the root's dot. */
const HOST_NAME = /^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/;
const HOST_NAME_MAX = 253;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const DEFAULT_PORTS = new Map([
  ["http:", 80],
  ["https:", 443],
]);

/** `origin`, or what is wrong: by a code, and in words. */
export type JudgedUrl = { ok: true; origin: string } | { ok: false; code: ReachCode; detail: string };

/** The origin (`https://host[:port]`) of a node's URL, or why nobody may be sent there. */
export function judgeNodeUrl(text: string, allowLocal: boolean): JudgedUrl {
  const url = parseUrl(text);
  if (url === null) return refusal("url-malformed", "the node's URL is not a URL");
  if (!isPlainOrigin(text, url)) {
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
  return hostname.length <= HOST_NAME_MAX && HOST_NAME.test(hostname) && !PRIVATE_SUFFIX.test(hostname);
}

/**
 * That the text is the origin as it is written everywhere, with or without a slash: what one parser drops or repairs
 * (white space, credentials, `\\`, dots of other scripts), another may read as another host.
 */
function isPlainOrigin(text: string, { origin, protocol, port }: URL): boolean {
  const bare = text.replace(/\/$/, "").toLowerCase();
  return bare === origin || (port === "" && bare === `${origin}:${DEFAULT_PORTS.get(protocol)}`);
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
