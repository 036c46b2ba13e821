// Two tables of one kind: lib's, in which the simulation's nodes keep their contacts, and that of the home node.

import { expect, test } from "vitest";
import { RoutingTable } from "../../home-node/routing-table.ts";
import { hashBytes, type NodeId } from "../../lib/hash.ts";
import { encodePublicKeyBlob, formatPublicKeyText } from "../../lib/openssh-key.ts";
import { Buckets } from "../../lib/overlay/buckets.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { SeededRandom } from "../random.ts";

test("lib's buckets and the home node's table keep the same nodes, and name the same as closest", () => {
  const random = new SeededRandom("two tables");
  const contacts = Array.from({ length: 1500 }, (): Contact => {
    const key = encodePublicKeyBlob(random.bytes(32));
    return { id: hashBytes(key) as NodeId, key: formatPublicKeyText(key), url: null };
  });
  const self = hashBytes(random.bytes(32)) as NodeId;
  const table = new RoutingTable(self);
  const buckets = new Buckets<Contact>(self);
  for (let i = 0; i < 3000; i++) {
    const contact = random.pick(contacts);
    table.add([contact]);
    buckets.add(contact);
  }
  expect(buckets.size).toBe(table.size);
  expect(buckets.size).toBeGreaterThan(100);
  for (let i = 0; i < 100; i++) {
    const target = hashBytes(random.bytes(32));
    expect(buckets.closest(target)).toEqual(table.closest(target));
  }
});
