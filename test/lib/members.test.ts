import { expect, test } from "vitest";
import { type Hash, hashBytes, PARTITION_COUNT, partitionOf } from "../../lib/hash.ts";
import { closestTo, compareDistance, hashesElsewhere, sharedBits } from "../../lib/overlay/distance.ts";
import { closestInRanges, closestInShards } from "../../lib/overlay/members.ts";

const hashOf = (text: string): Hash => hashBytes(new TextEncoder().encode(text));
const ids = Array.from({ length: 500 }, (_, i) => hashOf(`member ${i}`));
const self = (id: Hash) => id;

test("the closest in ranges of ids are exactly the closest of all, however many there are", () => {
  for (const members of [ids, ids.slice(0, 7), []]) {
    const inRange = (prefix: string) => members.filter((id) => id.startsWith(prefix));
    for (let i = 0; i < 50; i++) {
      const target = hashOf(`target ${i}`);
      expect(closestInRanges(target, 20, self, inRange)).toEqual(closestTo(target, members, self, 20));
    }
  }
});

test("a leaf with enough is asked alone; else the root, and of what it turned away the leaf that is near enough", async () => {
  const target = ids[0] as Hash;
  const near = closestTo(target, ids, self, 40).map((id) => ({ id }));
  const page = (members: { id: Hash }[], crowded: number[] = []) => ({ members, complete: false, crowded });
  const asked: string[] = [];
  const closest = (leaf: number, crowded: number[]) =>
    closestInShards(target, 20, {
      leaf: async () => page(near.slice(0, leaf)),
      root: async () => {
        asked.push("root");
        return page(near.slice(10, 30), crowded);
      },
      crowd: async (partition) => {
        asked.push(`crowd ${partition}`);
        return page(near.slice(5, 10));
      },
    });
  expect(await closest(20, [])).toEqual(near.slice(0, 20));
  expect(asked).toEqual([]);
  expect(await closest(10, [])).toEqual(near.slice(0, 20));
  expect(asked).toEqual(["root"]);
  const [here, far] = [partitionOf(target), partitionOf(target) ^ (PARTITION_COUNT - 1)];
  expect(await closest(5, [here, far])).toEqual(near.slice(0, 20));
  expect(asked).toEqual(["root", "root", `crowd ${here}`]);
});

test("distance and shared bits go by bytes, the first difference deciding", () => {
  const zero = "0".repeat(64) as Hash;
  const at = (digits: string) => `${digits}${zero.slice(digits.length)}` as Hash;
  expect(sharedBits(zero, zero)).toBe(256);
  expect(["8", "4", "1", "08", "0a", "01"].map((digits) => sharedBits(zero, at(digits)))).toEqual([
    0, 1, 3, 4, 4, 7,
  ]);
  expect(compareDistance(zero, at("1"), at("2"))).toBeLessThan(0);
  expect(compareDistance(at("3"), at("1"), at("2"))).toBeGreaterThan(0);
  expect(compareDistance(at("f"), at("a"), at("9"))).toBeLessThan(0);
  expect(compareDistance(zero, at("ab"), at("ab"))).toBe(0);
});

test("hashes elsewhere part from a hash at its first bits", () => {
  const target = hashOf("here");
  expect(hashesElsewhere(target).map((other) => sharedBits(target, other))).toEqual([0, 1, 2]);
});
