// A home node that is reached at a URL of its own: only such are asked, and stand in routing tables.

import { originSentTo } from "../../lib/client/holders.ts";
import { nodeIdOf, parsePublicKeyText } from "../../lib/openssh-key.ts";
import type { Contact } from "../../lib/wire/nodes.ts";

export interface Reachable extends Contact {
  /** Its origin. */
  url: string;
}

/** Who is not on this machine may send nobody to it. */
export const ELSEWHERE = "https://elsewhere.invalid";

/** The contact as one that may be asked, where whoever answers at `teller` may say so; else null. */
export function reachableBy(teller: string, contact: Contact): Reachable | null {
  const url = contact.url === null ? null : originSentTo(contact.url, teller);
  return url === null || !isGenuine(contact) ? null : { ...contact, url };
}

/** Ids are hashes of keys so that nobody chooses where a node stands; a contact that breaks this is a lie. */
export function isGenuine({ id, key }: Contact): boolean {
  return nodeIdOf(parsePublicKeyText(key)) === id;
}
