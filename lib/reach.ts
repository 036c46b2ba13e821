// Direct or relayed, and why: what an edge found when it asked a node's URL for the node's id, as codes for programs,
// and what a volunteer can do about each. The edge finds it out (durable-objects/reach.ts); the node only hears of it.

/** Stable: a code keeps its meaning, new ones may come. A node takes one that it does not know for no code. */
export const REACH_CODES = [
  "reached",
  // the URL itself
  "no-url",
  "url-malformed",
  "url-not-https",
  "host-not-public",
  // on the way to it
  "name-not-found",
  "connection-refused",
  "connection-failed",
  "certificate-invalid",
  "timed-out",
  // what answers there
  "redirected",
  "not-a-node",
  "other-node",
] as const;

export type ReachCode = (typeof REACH_CODES)[number];

/** What to do to become direct; null for a node that is. */
const ADVICE: Record<ReachCode, string | null> = {
  reached: null,
  "no-url":
    "let an https name lead to the node's listener (a reverse proxy with a certificate will do) and start it with --url https://NAME. Behind NAT without a way in, relayed is as it should be",
  "url-malformed":
    "start the node with --url as an origin, such as https://node.example.org: no path, no query",
  "url-not-https":
    "put a proxy with a certificate in front of the listener, and start the node with --url https://NAME",
  "host-not-public":
    "give the node a name in public DNS; an IP address or a local name does not do. Then start it with --url https://NAME",
  "name-not-found":
    "add the A or AAAA record of the URL's name to DNS, or correct --url; then restart the node",
  "connection-refused":
    "see that the proxy or listener runs and that router and firewall let its port through; then restart the node",
  "connection-failed":
    "open the URL with /status from another network: the name must resolve, the port be open and the certificate valid; then restart the node",
  "certificate-invalid": "renew the certificate, for the very name in --url; then restart the node",
  "timed-out":
    "forward the port on the router and let the firewall accept it: packets are dropped on the way; then restart the node",
  redirected: "have the proxy pass requests on instead of redirecting them; then restart the node",
  "not-a-node":
    "have the proxy pass /status and all other paths on to the node's listener; then restart the node",
  "other-node": "give each node a name of its own, or correct --url; then restart the node",
};

/** The code in `text`, or null where this version does not know it. */
export function parseReachCode(text: string): ReachCode | null {
  return REACH_CODES.find((code) => code === text) ?? null;
}

export function adviceFor(code: ReachCode): string | null {
  return ADVICE[code];
}
