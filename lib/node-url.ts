// The URL at which a home node says it can be reached. Everyone who reads from the node will follow it, so it must
// be a public https origin; http and loopback only where the operator of the edge allows local nodes.

import { HoldfastError } from "./error.ts";
import { NODE_URL_MAX } from "./registration.ts";

const PRIVATE_SUFFIX = /(^|\.)(localhost|local|internal|home\.arpa|onion|test|invalid|example)$/;
const IP_LITERAL = /^(\[.*\]|[\d.]+)$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** The origin (`https://host[:port]`) of a node's URL. Throws `invalid-url`. */
export function parseNodeUrl(text: string, allowLocal: boolean): string {
  const url = parseUrl(text);
  const bare =
    url.username === "" &&
    url.password === "" &&
    url.pathname === "/" &&
    url.search === "" &&
    url.hash === "";
  if (!bare)
    throw new HoldfastError(
      "invalid-url",
      "a node's URL is an origin: no path, query, fragment or credentials",
    );
  const isLocal = LOOPBACK.test(url.hostname);
  if (allowLocal && isLocal && /^https?:$/.test(url.protocol)) return url.origin;
  if (url.protocol !== "https:") throw new HoldfastError("invalid-url", "a node's URL must be https");
  if (IP_LITERAL.test(url.hostname) || PRIVATE_SUFFIX.test(url.hostname) || !url.hostname.includes(".")) {
    throw new HoldfastError("invalid-url", "a node's URL must have a public host name");
  }
  return url.origin;
}

function parseUrl(text: string): URL {
  try {
    if (text.length > NODE_URL_MAX) throw new RangeError(`longer than ${NODE_URL_MAX}`);
    return new URL(text);
  } catch (cause) {
    throw new HoldfastError("invalid-url", "the node's URL is not a URL", { cause });
  }
}
