// Two tables of one kind: lib's, in which the simulation's nodes keep their contacts, and the one that the home node's table is made of.

import { expect, test } from "vitest";
import { Buckets as NodeBuckets } from "../../home-node/overlay/buckets.ts";
import { decodeHash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { Buckets } from "../../lib/overlay/buckets.ts";
import { SeededRandom } from "../random.ts";

test("lib's buckets and the home node's keep the same nodes, and name the same as closest", () => {
  const random = new SeededRandom("two tables");
  const contacts = Array.from({ length: 1500 }, () => ({ id: hashBytes(random.bytes(32)) as NodeId }));
  const self = hashBytes(random.bytes(32)) as NodeId;
  const table = new NodeBuckets(decodeHash(self));
  const buckets = new Buckets(self);
  for (let i = 0; i < 3000; i++) {
    const contact = random.pick(contacts);
    table.add({ id: decodeHash(contact.id), contact });
    buckets.add(contact);
  }
  expect(buckets.size).toBe(table.size);
  expect(buckets.size).toBeGreaterThan(100);
  for (let i = 0; i < 100; i++) {
    const target = hashBytes(random.bytes(32));
    expect(buckets.closest(target)).toEqual(table.closest(target));
  }
});
