// From which address a connection comes, for limits that count by it.

import type { IncomingMessage } from "node:http";
import { customerOf } from "../../lib/ip-address.ts";
import { isLoopbackAddress } from "../server/local-request.ts";

/**
 * What limits count the caller as. Behind a proxy on this machine that is whom the proxy last names: what stands before it
 * in the header the caller may have made up. Null for this machine itself, and for whom a proxy does not name.
 */
export function callerOf(
  message: Pick<IncomingMessage, "headers"> & { socket: { remoteAddress?: string | undefined } },
): string | null {
  const address = message.socket.remoteAddress ?? "";
  if (!isLoopbackAddress(address)) return customerOf(address);
  const forwarded =
    [message.headers["x-forwarded-for"] ?? []].flat().join(",").split(",").at(-1)?.trim() ?? "";
  return forwarded === "" ? null : customerOf(forwarded);
}
