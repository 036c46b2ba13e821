import { expect, test } from "vitest";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { Buckets } from "../../lib/overlay/buckets.ts";
import { closestTo, K, sharedBits } from "../../lib/overlay/distance.ts";

const hashOf = (text: string): Hash => hashBytes(new TextEncoder().encode(text));
const nodes = Array.from({ length: 2000 }, (_, i) => ({ id: hashOf(`bucketed ${i}`) as NodeId }));
const self = hashOf("self") as NodeId;

function filled(count: number) {
  const buckets = new Buckets<{ id: NodeId }>(self);
  for (const node of nodes.slice(0, count)) buckets.add(node);
  return buckets;
}

test.each([0, 1, 15, 300, 2000])(
  "of %i nodes the closest that are kept come nearest first, exactly",
  (count) => {
    const buckets = filled(count);
    for (let i = 0; i < 50; i++) {
      for (const target of [hashOf(`near ${i}`), self])
        for (const wanted of [1, K, 100])
          expect(buckets.closest(target, wanted)).toEqual(
            closestTo(target, buckets.contacts(), ({ id }) => id, wanted),
          );
    }
  },
);

test("a bucket keeps the first k, and tells its oldest to whoever comes later; heard of again, one is the newest", () => {
  const buckets = filled(2000);
  const far = nodes.filter(({ id }) => sharedBits(self, id) === 0);
  expect(buckets.bucket(0)).toEqual(far.slice(0, K));
  const [first, second, third, fourth] = far;
  const late = far.at(-1);
  if (first === undefined || late === undefined) throw new Error("too few nodes");
  expect(buckets.add(late)).toEqual([first, second, third]);
  expect(buckets.add(first)).toEqual([]);
  expect(buckets.add(late)).toEqual([second, third, fourth]);
  buckets.remove(first.id);
  expect(buckets.add(late)).toEqual([]);
  expect(buckets.bucket(0).at(-1)).toBe(late);
  expect(buckets.bucket(0)).toHaveLength(K);
  expect(buckets.size).toBe(buckets.contacts().length);
});
