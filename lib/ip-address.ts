// Addresses of the internet as strangers give them: which of them lead to the public internet, and which count as
// one customer's. What a name resolves to is asked by the hosts that can.

import ipaddr from "ipaddr.js";

/** RFC 4291: what is allocated as global unicast begins with these bits. */
const GLOBAL_UNICAST: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse("2000::"), 3];
/** RFC 6052: an IPv4 address for hosts that have IPv6 only. */
const NAT64: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse("64:ff9b::"), 96];
/** What one household or one server is given, at the least (RFC 6177). */
const CUSTOMER_BITS = 64;

/** True for an address, without brackets, that a stranger may send anyone to; false also for text that is no address. */
export function isPublicAddress(text: string): boolean {
  const address = parseAddress(text);
  if (address === null) return false;
  if (address instanceof ipaddr.IPv4) return address.range() === "unicast";
  if (address.match(NAT64)) return embeddedIPv4(address).range() === "unicast";
  return address.range() === "unicast" && address.match(GLOBAL_UNICAST);
}

/** What limits count by: an IPv4 address, or the /64 of an IPv6 address. Text that is no address counts as it stands. */
export function customerOf(text: string): string {
  const address = parseAddress(text);
  if (address === null) return text;
  if (address instanceof ipaddr.IPv4) return address.toString();
  return ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${CUSTOMER_BITS}`).toString();
}

/** An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is the IPv4 address. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  return ipaddr.isValid(text) ? ipaddr.process(text) : null;
}

function embeddedIPv4(address: ipaddr.IPv6): ipaddr.IPv4 {
  return new ipaddr.IPv4(address.toByteArray().slice(-4));
}
