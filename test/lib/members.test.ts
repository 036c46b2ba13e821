import { expect, test } from "vitest";
import { type Hash, hashBytes } from "../../lib/hash.ts";
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

test("a leaf shard with enough is asked alone; one with too few sends the question on, to the root at last", async () => {
  const target = hashOf("asked for");
  const asked: number[] = [];
  const ask = (enoughAt: number) => async (prefix: string) => {
    asked.push(prefix.length);
    return prefix.length <= enoughAt ? ids.slice(0, 20) : ids.slice(0, 3);
  };
  const howMany = { count: 20, depth: 10 };
  expect(await closestInShards(target, howMany, ask(10))).toHaveLength(20);
  expect(await closestInShards(target, howMany, ask(0))).toHaveLength(20);
  expect(await closestInShards(target, howMany, ask(-1))).toHaveLength(3);
  expect(asked).toEqual([10, 10, 5, 0, 10, 5, 0]);
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
