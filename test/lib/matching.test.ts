import fc from "fast-check";
import { expect, test } from "vitest";
import { matchPositions } from "../../lib/redundancy/matching.ts";

/** By trying everything. */
function mostThatFit(choices: readonly string[][], taken: ReadonlySet<string> = new Set()): number {
  const [first, ...rest] = choices;
  if (first === undefined) return 0;
  const without = mostThatFit(rest, taken);
  const free = first.filter((choice) => !taken.has(choice));
  return Math.max(without, ...free.map((choice) => 1 + mostThatFit(rest, new Set([...taken, choice]))));
}

test("as many positions as can have a failure domain of their own", () => {
  const choices = fc.array(fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { maxLength: 3 }), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(choices, (lists) => {
      const matched = matchPositions(lists);
      const found = matched.filter((choice) => choice !== null);
      expect(new Set(found).size).toBe(found.length);
      matched.forEach((choice, i) => {
        if (choice !== null) expect(lists[i]).toContain(choice);
      });
      expect(found.length).toBe(mostThatFit(lists));
    }),
  );
});

test("a position gives way where it can go elsewhere, and the first choice is kept where it need not", () => {
  expect(matchPositions([["a", "b"], ["a"]])).toEqual(["b", "a"]);
  expect(matchPositions([["a", "b"], ["c"]])).toEqual(["a", "c"]);
  expect(matchPositions([["a"], ["a"], []])).toEqual(["a", null, null]);
});
