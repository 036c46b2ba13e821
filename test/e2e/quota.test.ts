// A domain's quota, as its publisher meets it: refused before anything is sent, and at the post; what it has already costs
// nothing more; other domains have their own.

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalNetwork, SAMPLE_DOMAIN } from "../../cli/local/network.ts";
import { holdfast, Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const QUOTA_BYTES = 300_000;

describe("a domain with a quota", () => {
  let network: LocalNetwork;
  let publisher: Publisher;
  const usageOf = async (domain: string) => {
    const response = await fetch(`${network.edgeUrl}/domain/${domain}`);
    const { usage } = (await response.json()) as {
      usage: { bytes: number; chunks: number; quotaBytes: number };
    };
    return usage;
  };

  beforeAll(async () => {
    const settings = { QUOTA_BYTES: String(QUOTA_BYTES), DOMAIN_QUOTAS: `${SAMPLE_DOMAIN}=24000000` };
    network = await startNetwork(3, 0, settings);
    publisher = await Publisher.create(sharedView(network));
  });
  afterAll(() => endNetwork(network));

  test("publishes up to it, and nothing new past it; the same bytes under another name cost their Manifest", async () => {
    const first = await publisher.writeFile("first", randomBytes(200_000));
    expect((await publisher.publish(first, "first")).code).toBe(0);
    const before = await usageOf(publisher.domain);
    expect(before).toMatchObject({ chunks: 2, quotaBytes: QUOTA_BYTES });
    expect(before.bytes).toBeGreaterThan(200_000);
    const refused = await publisher.publish(
      await publisher.writeFile("second", randomBytes(100_000)),
      "second",
    );
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("quota-exceeded");
    expect(await usageOf(publisher.domain)).toEqual(before);
    expect((await fetch(publisher.objectUrl("second"))).status).toBe(404);
    const again = await publisher.publish(first, "again", "--content-type", "text/x-again");
    expect(again.code).toBe(0);
    const after = await usageOf(publisher.domain);
    expect(after.chunks).toBe(3);
    expect(after.bytes - before.bytes).toBeLessThan(1000);
    expect((await publisher.publish(first, "again", "--content-type", "text/x-again")).code).toBe(0);
    expect(await usageOf(publisher.domain)).toEqual(after);
  });

  test("leaves others theirs: each is charged for what it has, and some may have more", async () => {
    const other = await Publisher.create(sharedView(network));
    const bytes = randomBytes(250_000);
    expect((await other.publish(await other.writeFile("a", bytes), "a")).code).toBe(0);
    const args = ["publish", await other.writeFile("b", randomBytes(900_000)), `${SAMPLE_DOMAIN}/b`];
    const published = await holdfast(network, [
      ...args,
      "--key",
      network.sampleKeyFile,
      "--author",
      "a@example.test",
    ]);
    expect(published).toMatchObject({ code: 0 });
    expect((await usageOf(SAMPLE_DOMAIN)).bytes).toBeGreaterThan(900_000);
  });

  test("is refused at the post what no plan has seen whole", async () => {
    const before = await usageOf(SAMPLE_DOMAIN);
    // Planned and sent in two windows, for each of which there would be room.
    const file = await publisher.writeFile("large", randomBytes(28_000_000));
    const args = ["publish", file, `${SAMPLE_DOMAIN}/large`, "--key", network.sampleKeyFile];
    const { code, stderr } = await holdfast(network, [...args, "--author", "a@example.test"]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/this adds 28\d{6} \(said \S+\/names\) \(quota-exceeded\)/);
    expect(await usageOf(SAMPLE_DOMAIN)).toEqual(before);
  });
});
