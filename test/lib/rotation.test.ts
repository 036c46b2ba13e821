// Rotations: who may sign one, what a chain of them leads to, and what counts for nothing.

import { describe, expect, test } from "vitest";
import { formatRotationRecord, parseDomainRecords } from "../../lib/domain-records.ts";
import { parseDomain } from "../../lib/names.ts";
import { fingerprintOf, formatPublicKeyText } from "../../lib/openssh-key.ts";
import {
  followRotations,
  ROTATIONS_MAX,
  rotationKind,
  signRotation,
  stepOf,
  verifyRotation,
  verifyRotations,
} from "../../lib/rotation.ts";
import { signStatement } from "../../lib/statement.ts";
import { testSigner } from "./test-resolver.ts";

const DOMAIN = parseDomain("example.org");
const TIME = "2026-01-02T00:00:00.000Z";
const [old, next, stranger] = await Promise.all([testSigner(1), testSigner(2), testSigner(3)]);
const rotate = (from = old, to = next, domain = DOMAIN) =>
  signRotation({ domain, to: to.key, time: TIME }, from);

describe("a rotation", () => {
  test("by the old key comes back from its record and verifies", async () => {
    const [published] = parseDomainRecords([formatRotationRecord(await rotate())]).rotations;
    if (published === undefined) throw new Error("the record was not read");
    const { body, key } = await verifyRotation(published);
    expect(body).toEqual({
      ...{ type: "holdfast-rotation-1", domain: DOMAIN, time: TIME },
      ...{ from: formatPublicKeyText(old.key), to: formatPublicKeyText(next.key) },
    });
    expect(key).toEqual(old.key);
  });

  test("fits into one record", async () => {
    const { problems } = parseDomainRecords([formatRotationRecord(await rotate())]);
    expect(problems).toEqual([]);
  });

  test("by another key than the one it leads from is refused, the new key among them", async () => {
    for (const signer of [stranger, next]) {
      const forged = await signStatement(
        rotationKind,
        {
          ...{ type: "holdfast-rotation-1", domain: DOMAIN, time: TIME },
          ...{ from: formatPublicKeyText(old.key), to: formatPublicKeyText(next.key) },
        },
        signer,
      );
      await expect(verifyRotation(forged)).rejects.toMatchObject({ code: "key-not-authorized" });
    }
  });

  test("of a key to itself is refused", async () => {
    await expect(rotate(old, old)).rejects.toMatchObject({ code: "invalid-statement" });
  });

  test("with one byte changed, or signed for another purpose, is refused", async () => {
    const { bytes, signature } = await rotate();
    for (let at = 0; at < bytes.length; at += 17) {
      const changed = bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
      await expect(verifyRotation({ bytes: changed, signature })).rejects.toMatchObject({
        code: "invalid-signature",
      });
    }
    const elsewhere = await old.sign("holdfast", bytes);
    await expect(verifyRotation({ bytes, signature: elsewhere })).rejects.toMatchObject({
      code: "wrong-namespace",
    });
  });
});

describe("of the rotations that a domain publishes", () => {
  test("those of another domain and forged ones count for nothing, and are told of", async () => {
    const good = await rotate();
    const forged = { ...good, signature: (await rotate(stranger, old)).signature };
    const foreign = await rotate(old, stranger, parseDomain("example.net"));
    const { rotations, problems } = await verifyRotations(DOMAIN, [forged, good, foreign]);
    expect(rotations.map(({ id }) => id)).toEqual([good.id]);
    expect(problems).toHaveLength(2);
  });

  test("so many are read, and no more", async () => {
    const many = Array.from({ length: ROTATIONS_MAX }, () => ({ bytes: new Uint8Array(1), signature: "" }));
    const { rotations, problems } = await verifyRotations(DOMAIN, [...many, await rotate()]);
    expect(rotations).toEqual([]);
    expect(problems[0]).toContain(`${ROTATIONS_MAX} are read`);
  });
});

describe("a chain", () => {
  const step = (from: string, to: string) => ({ from, to });

  test("leads from a known key over others to the last, in whatever order it stands", () => {
    const steps = [step("c", "d"), step("a", "b"), step("b", "c")];
    expect([...followRotations(["a"], steps)].sort()).toEqual(["a", "b", "c", "d"]);
    expect([...followRotations(["c"], steps)].sort()).toEqual(["c", "d"]);
  });

  test("leads nowhere backwards, across a gap, or out of nothing, and a circle ends", () => {
    expect([...followRotations(["b"], [step("a", "b")])]).toEqual(["b"]);
    expect([...followRotations(["a"], [step("b", "c")])]).toEqual(["a"]);
    expect([...followRotations([], [step("a", "b")])]).toEqual([]);
    expect([...followRotations(["a"], [step("a", "b"), step("b", "a")])].sort()).toEqual(["a", "b"]);
  });

  test("of real rotations goes by fingerprints", async () => {
    const steps = [await rotate(), await rotate(next, stranger)].map(stepOf);
    expect(followRotations([fingerprintOf(old.key)], steps).has(fingerprintOf(stranger.key))).toBe(true);
  });
});
