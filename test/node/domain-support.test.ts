// What the command prints of an edge's word about a domain: 80 columns, and strangers' text as text.

import { describe, expect, test } from "vitest";
import { formatSupport, type SupportOn } from "../../cli/domain-support.ts";
import { hashBytes, type NodeId } from "../../lib/hash.ts";
import type { Supporter } from "../../lib/wire/status.ts";

const NOW_MS = Date.parse("2026-03-08T12:00:00.000Z");
const supporter = (i: number, changes: Partial<Supporter> = {}): Supporter => ({
  ...{ id: hashBytes(Uint8Array.of(i)) as NodeId, name: null, online: true, standing: 1 },
  ...{ since: "2025-01-01T00:00:00.000Z", chunks: 1_234_567, bytes: 999e12, pledgedBytes: 999e12 },
  ...changes,
});
const support = (supporters: Supporter[], usage: Partial<SupportOn["usage"]> = {}): SupportOn => ({
  url: "https://edge.example.org",
  usage: { bytes: 0, chunks: 0, quotaBytes: null, pledgedBytes: 0, supporters: 0, ...usage },
  supporters,
});

describe("an edge's word about a domain", () => {
  test("fits 80 columns, whatever the numbers and names", () => {
    const text = formatSupport(
      support([supporter(1, { name: "x".repeat(64) }), supporter(2, { online: false })]),
      NOW_MS,
    );
    expect(text.split("\n").filter((line) => [...line].length > 80)).toEqual([]);
    expect(text).toContain("a volunteer");
    expect(text).toContain("x…");
  });

  test("tells who fails, who is offline and who only pledges", () => {
    const text = formatSupport(
      support([supporter(1, { standing: 0.2 }), supporter(2, { online: false, chunks: 0, bytes: 0 })]),
      NOW_MS,
    );
    expect(text).toMatch(/^\w{8} {2}failing +909 TiB +1234567 +909 TiB +431 days/m);
    expect(text).toMatch(/^\w{8} {2}offline +- +- +909 TiB/m);
  });

  test("lists fifteen, and says how many more there are", () => {
    const all = Array.from({ length: 40 }, (_, i) => supporter(i));
    const text = formatSupport(support(all), NOW_MS);
    expect(text.match(/a volunteer/g)).toHaveLength(15);
    expect(text).toContain("and 25 more: see --json");
  });

  test("says in words where nobody pledges to it, and lists nobody where nobody keeps it", () => {
    const text = formatSupport(support([]), NOW_MS);
    expect(text).toContain("lives on pledges to all");
    expect(text).not.toContain("SUPPORTER");
    expect(formatSupport(support([], { pledgedBytes: 2048, supporters: 2 }), NOW_MS)).toContain(
      "2.0 KiB by 2 nodes",
    );
  });

  test("takes names and the edge's URL for text, not for controls of the terminal", () => {
    const hostile = support([supporter(1, { name: "\u001b[2J\u202eAda\r\n" })]);
    const text = formatSupport({ ...hostile, url: "http://e\u0007" }, NOW_MS);
    expect(text).toContain("Ada");
    expect(text).not.toMatch(/[^\n\P{Cc}]|\u202e/u);
  });
});
