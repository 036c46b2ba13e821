// The fetch for what servers tell of: the servers that the user named are reached wherever they are; a node that a server
// names is a stranger's word, and reached at public addresses only, unless the servers themselves are this network's.

import type { Fetch } from "../lib/fetch.ts";
import { isPublicAddress } from "../lib/ip-address.ts";
import { isLoopbackHost, judgeNodeUrl } from "../lib/node-url.ts";
import { createPublicFetch, httpFetch } from "./http-fetch.ts";
import { createPublicLookup } from "./public-lookup.ts";

const publicFetch = createPublicFetch(createPublicLookup());

/**
 * `serverUrls` are the user's own. Loopback is left to whoever judged which server may send us there (holders.ts), and
 * only where one of the servers is on this machine.
 */
export function createStrangerFetch(serverUrls: readonly string[], elsewhere: Fetch = publicFetch): Fetch {
  const servers = serverUrls.map((url) => new URL(url));
  const own = new Set(servers.map(({ origin }) => origin));
  const isLocal = servers.length > 0 && servers.every(({ hostname }) => isLocalHost(hostname));
  const hasLoopback = servers.some(({ hostname }) => isLoopbackHost(hostname));
  return (url, init) => {
    const { origin, hostname } = new URL(url);
    const isTrusted = own.has(origin) || (hasLoopback && isLoopbackHost(hostname)) || isLocal;
    return isTrusted ? httpFetch(url, init) : elsewhere(url, init);
  };
}

/** A host that only this machine or its network can mean. */
function isLocalHost(hostname: string): boolean {
  const isPublic =
    isPublicAddress(hostname.replace(/^\[|\]$/g, "")) || judgeNodeUrl(`https://${hostname}`, false).ok;
  return !isPublic;
}
