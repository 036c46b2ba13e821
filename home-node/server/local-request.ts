// Is it the volunteer who asks? A request counts as local when its connection comes from this machine and nothing in it
// says that somebody else speaks through this machine: a proxy, another site's page in the volunteer's browser, or a
// name of a stranger's that was made to lead here. Headers can only take the right away, never give it.

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** Headers by which proxies say for whom they ask, or that they are there at all. */
const FORWARDING =
  /^(forwarded|via|x-real-ip|x-(.+-)?forwarded(-.*)?|x-original-.*|x-envoy-.*|.+-(client|connecting)-ip|cf-.*|cdn-.*)$/;
const LOOPBACK_ADDRESS = /^(::ffff:)?127(\.\d{1,3}){3}$|^::1$/;
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;
/** Fetch Metadata: the page itself, or what the user typed or opened from a bookmark. */
const OWN_SITES = ["same-origin", "none"];
export const KEY_PARAMETER = "key";

export type RequestFacts = Pick<IncomingMessage, "headersDistinct" | "httpVersion"> & {
  socket: Pick<IncomingMessage["socket"], "remoteAddress">;
};

export function isLocalRequest({ socket, headersDistinct, httpVersion }: RequestFacts): boolean {
  return (
    isLoopbackAddress(socket.remoteAddress ?? "") &&
    // Proxies of an older default ask with 1.0, and may leave out all else.
    httpVersion === "1.1" &&
    !Object.keys(headersDistinct).some((name) => FORWARDING.test(name)) &&
    isOwnHost(headersDistinct.host ?? []) &&
    isOwnPage(headersDistinct)
  );
}

export function isLoopbackAddress(address: string): boolean {
  return LOOPBACK_ADDRESS.test(address);
}

/** Whether the request names the key. */
export function hasKey(url: string, key: string): boolean {
  const given = new URL(url).searchParams.get(KEY_PARAMETER) ?? "";
  return timingSafeEqual(sha256(given), sha256(key));
}

// Of one length, whatever was given.
function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** DNS rebinding: a stranger's page may bring the browser here, but only under the stranger's name. */
function isOwnHost(hosts: string[]): boolean {
  return hosts.length === 1 && hosts.every((host) => LOOPBACK_HOST.test(host));
}

/** Another site's page in the same browser is no volunteer, though every answer of the protocol may be read by it. */
function isOwnPage({ origin = [], host = [], "sec-fetch-site": sites = [] }: NodeJS.Dict<string[]>): boolean {
  return (
    origin.every((text) => text === `http://${host[0]}`) && sites.every((site) => OWN_SITES.includes(site))
  );
}
