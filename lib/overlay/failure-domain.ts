// What fails together. By default nodes of one network: an IPv4 /24 or an IPv6 /48. On one machine, each node.

import type { NodeId } from "../hash.ts";

export type FailureDomainMode = "network" | "node";

/** The failure domain of a node that connected from `address` (as CF-Connecting-IP shows it). */
export function failureDomainOf(mode: FailureDomainMode, id: NodeId, address: string): string {
  if (mode === "node") return id;
  return address.includes(":") ? networkOfV6(address) : networkOfV4(address);
}

function networkOfV4(address: string): string {
  return `${address.split(".").slice(0, 3).join(".")}.0/24`;
}

function networkOfV6(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return networkOfV4(mapped);
  const [head = "", tail = ""] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  const groups = [...left, ...zeros, ...right]
    .slice(0, 3)
    .map((group) => Number.parseInt(group, 16).toString(16));
  return `${groups.join(":")}::/48`;
}
