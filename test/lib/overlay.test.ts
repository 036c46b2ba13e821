import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHash, encodeHash, type Hash, hashBytes, type NodeId, partitionOf } from "../../lib/hash.ts";
import { parseNodeUrl } from "../../lib/node-url.ts";
import { closestTo, compareDistance } from "../../lib/overlay/distance.ts";
import { failureDomainOf } from "../../lib/overlay/failure-domain.ts";
import {
  childPrefixes,
  isInside,
  leafPrefix,
  membershipPrefixes,
  partitionRange,
} from "../../lib/overlay/shards.ts";

const anyHash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(encodeHash);
const idOf = (i: number) => hashBytes(Uint8Array.of(i, i >> 8)) as NodeId;

describe("shards", () => {
  test.each([
    ["00", 4, "0000"],
    ["ff", 4, "1111"],
    ["a5", 4, "1010"],
    ["a5c", 10, "1010010111"],
    ["a5", 0, ""],
  ])("a hash that begins with %s is served at depth %i by shard %j", (start, depth, prefix) => {
    expect(leafPrefix(start.padEnd(64, "0") as Hash, depth)).toBe(prefix);
  });

  test("a shard's range holds exactly the partitions of its hashes", () => {
    fc.assert(
      fc.property(anyHash, fc.integer({ min: 0, max: 10 }), (hash, depth) => {
        const { first, last } = partitionRange(leafPrefix(hash, depth));
        expect(partitionOf(hash)).toBeGreaterThanOrEqual(first);
        expect(partitionOf(hash)).toBeLessThanOrEqual(last);
        expect(last - first + 1).toBe(2 ** (10 - depth));
      }),
    );
  });

  test("a node is a member of its leaf and of the ancestors above it, three shards at most", () => {
    const id = `${"a5c".padEnd(64, "0")}` as Hash;
    expect(membershipPrefixes(id, 4)).toEqual(["1010", ""]);
    expect(membershipPrefixes(id, 10)).toEqual(["1010010111", "10100", ""]);
    expect(membershipPrefixes(id, 0)).toEqual([""]);
  });

  test("a shard's children divide it, and are inside it as it is not inside itself", () => {
    expect(childPrefixes("01")).toEqual(["010", "011"]);
    expect([isInside("010", "01"), isInside("01", ""), isInside("01", "01"), isInside("00", "01")]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test("a depth beyond the partitions is a mistake of the caller", () => {
    expect(() => leafPrefix("0".repeat(64) as Hash, 11)).toThrowError(RangeError);
  });
});

describe("distance", () => {
  test("orders as the XOR of 256-bit numbers does", () => {
    const xor = (a: Hash, b: Hash) => BigInt(`0x${a}`) ^ BigInt(`0x${b}`);
    fc.assert(
      fc.property(anyHash, anyHash, anyHash, (target, a, b) => {
        const exact = xor(target, a) < xor(target, b) ? -1 : xor(target, a) > xor(target, b) ? 1 : 0;
        expect(Math.sign(compareDistance(target, a, b))).toBe(exact);
      }),
    );
  });

  test("tells ids apart that differ in the last bit only", () => {
    const target = "0".repeat(64) as Hash;
    const near = encodeHash(decodeHash(target).with(31, 1));
    expect(closestTo(target, [near, target], (hash) => hash)).toEqual([target, near]);
  });
});

describe("failure domains", () => {
  test.each([
    ["192.0.2.77", "192.0.2.0/24"],
    ["::ffff:192.0.2.77", "192.0.2.0/24"],
    ["2001:db8:1:2::3", "2001:db8:1::/48"],
    ["2001:0db8:0001::", "2001:db8:1::/48"],
    ["::1", "0:0:0::/48"],
    ["2001:db8::1:2:3:4:5", "2001:db8:0::/48"],
  ])("%s is in %s", (address, network) => {
    expect(failureDomainOf("network", idOf(1), address)).toBe(network);
    expect(failureDomainOf("node", idOf(1), address)).toBe(idOf(1));
  });
});

describe("a node's URL", () => {
  test.each(["https://node.example.org", "https://node.example.org:8443/"])(
    "%s is accepted everywhere",
    (url) => {
      expect(parseNodeUrl(url, false)).toBe(new URL(url).origin);
    },
  );

  test.each(["http://127.0.0.1:8791", "http://localhost:1", "https://[::1]:2", "http://127.9.8.7"])(
    "%s is accepted only where local nodes are",
    (url) => {
      expect(parseNodeUrl(url, true)).toBe(new URL(url).origin);
      expect(() => parseNodeUrl(url, false)).toThrowError(expect.objectContaining({ code: "invalid-url" }));
    },
  );

  test.each([
    "",
    "node.example.org",
    "http://node.example.org",
    "ftp://node.example.org",
    "https://node.example.org/path",
    "https://node.example.org/?q",
    "https://node.example.org/#f",
    "https://user@node.example.org",
    "https://user:pw@127.0.0.1",
    "https://10.0.0.1",
    "https://192.0.2.1",
    "https://[2001:db8::1]",
    "https://node.internal",
    "https://router.local",
    "https://intranet",
    "https://0x7f.1",
    "https://2130706433",
    "https://localhost.",
    "http://169.254.169.254",
    `https://${"a".repeat(600)}.org`,
  ])("%s is refused everywhere", (url) => {
    for (const allowLocal of [false, true]) {
      expect(() => parseNodeUrl(url, allowLocal)).toThrowError(
        expect.objectContaining({ code: "invalid-url" }),
      );
    }
  });
});
