// The walk from one key to the next, step by step: what is asked of the owner, judged from what DNS shows.

import { describe, expect, test } from "vitest";
import { planReplacement, planRotation } from "../../lib/client/domain-rotation.ts";
import { formatKeyRecords, formatRotationRecord } from "../../lib/domain-records.ts";
import { parseDomain } from "../../lib/names.ts";
import { signRotation } from "../../lib/rotation.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { START_MS, testResolver, testSigner } from "./test-resolver.ts";

const DOMAIN = parseDomain("example.org");
const [a, b, c] = await Promise.all([testSigner(1), testSigner(2), testSigner(3)]);
const record = ({ key }: StatementSigner) => formatKeyRecords({ blob: key, emails: [] })[0] ?? "";
const rotation = (from: StatementSigner, to: StatementSigner) =>
  signRotation({ domain: DOMAIN, to: to.key, time: "2026-01-02T00:00:00.000Z" }, from);
const rotationRecord = async (from: StatementSigner, to: StatementSigner) =>
  formatRotationRecord(await rotation(from, to));

/** From `a` to `to`, where DNS shows `texts`. */
async function request(texts: string[], to = b, ttl = 60) {
  const keys = await testResolver(() => ({ texts, ttl })).resolve(DOMAIN);
  return { keys, old: a.key, next: to.key, emails: null, nowMs: START_MS };
}
const plan = async (texts: string[], to = b, ttl = 60) =>
  planRotation(await request(texts, to, ttl), () => rotation(a, to));

describe("a rotation", () => {
  test("adds the new key and the way to it, waits, and is done when the old key is gone", async () => {
    const added = [record(b), await rotationRecord(a, b)];
    expect(await plan([record(a)])).toEqual({ stage: "publish", add: added, remove: [], removeAfter: null });
    expect(await plan([record(a), ...added])).toEqual({
      ...{ stage: "overlap", add: [], remove: [record(a)] },
      removeAfter: new Date(START_MS + 3_600_000).toISOString(),
    });
    expect(await plan(added)).toEqual({ stage: "done", add: [], remove: [], removeAfter: null });
  });

  test("asks for what is missing of it, and no more", async () => {
    expect((await plan([record(a), record(b)])).add).toEqual([await rotationRecord(a, b)]);
    expect((await plan([record(a), await rotationRecord(a, b)])).add).toEqual([record(b)]);
  });

  test("waits for the records' TTL where that is longer than what servers keep", async () => {
    const { removeAfter } = await plan([record(a), record(b), await rotationRecord(a, b)], b, 86_400);
    expect(removeAfter).toBe(new Date(START_MS + 86_400_000).toISOString());
  });

  test("counts a chain over the keys between, and signs nothing where it is there", async () => {
    const texts = [record(c), await rotationRecord(a, b), await rotationRecord(b, c)];
    const signs = () => Promise.reject(new TypeError("nothing is to be signed"));
    expect(await planRotation(await request(texts, c), signs)).toMatchObject({ stage: "done" });
  });

  test("of keys that are not the domain's is refused", async () => {
    await expect(plan([record(c)])).rejects.toMatchObject({ code: "key-not-authorized" });
    const replaced = planReplacement(await request([record(c)]));
    await expect(replaced).rejects.toMatchObject({ code: "key-not-authorized" });
  });
});

describe("the replacement of a compromised key", () => {
  test("takes out its records, and rotations from it and to it; others stay", async () => {
    const [from, to, other] = [
      await rotationRecord(a, b),
      await rotationRecord(c, a),
      await rotationRecord(c, b),
    ];
    const mine = formatKeyRecords({ blob: a.key, emails: ["x@example.org"] });
    const plan = await planReplacement(await request([record(b), ...mine, from, to, other]));
    expect(plan).toEqual({ stage: "remove", add: [], remove: [...mine, from, to], removeAfter: null });
    expect(await planReplacement(await request([record(b), other]))).toMatchObject({ stage: "done" });
  });

  test("says at once what to take out, though the new key is still to be added", async () => {
    const plan = await planReplacement(await request([record(a)]));
    expect(plan).toEqual({ stage: "publish", add: [record(b)], remove: [record(a)], removeAfter: null });
  });
});
