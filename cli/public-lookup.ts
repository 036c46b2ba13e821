// Resolves hosts that strangers named: to public addresses only. A name in public DNS may lead into the network that this
// machine stands in, or to the machine itself; what listens there trusts whoever can reach it.

import { type LookupAddress, type LookupOptions, lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { isPublicAddress } from "../lib/ip-address.ts";

/** Nobody may be sent to this host. */
export class NotPublicError extends TypeError {
  constructor(host: string) {
    super(`${host} is no public address`);
    this.name = "NotPublicError";
  }
}

/** As dns.lookup with `all`: every address of a host, however this machine resolves names. */
export type ResolveAll = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** For a connection's `lookup` option. The addresses given are those connected to: no second answer comes in between. */
export function createPublicLookup(resolve: ResolveAll = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, "");
      const reachable = addresses.filter(({ address }) => isPublicAddress(address));
      const [first] = reachable;
      if (first === undefined) return callback(new NotPublicError(hostname), "");
      return options.all === true ? callback(null, reachable) : callback(null, first.address, first.family);
    });
  };
}
