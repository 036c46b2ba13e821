// What the command believes of DNS: two resolvers, one of them, none, and DNSSEC that is lost.

import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { EXIT } from "../../cli/failure.ts";
import { encodeZone, type Zone } from "../lib/test-resolver.ts";
import { DOMAIN, readRequest, serve } from "./client-fixture.ts";
import { a, b, object, recordOf, TARGET, useTestDomain } from "./domain-fixture.ts";

const SIGNED_ZONE_TYPE = "application/dns-message";
const world = useTestDomain();

describe("of two resolvers", () => {
  test("that agree both are named; that differ nothing is believed; a third decides", async () => {
    const otherFile = join(world.cwd, "other-zone");
    await world.writeZone([recordOf(a)], otherFile);
    world.dohUrls.push(await world.startDns(otherFile));
    expect((await world.get()).code).toBe(EXIT.ok);
    const agreed = await world.run("domain", "show", DOMAIN, "--json");
    expect(JSON.parse(agreed.stdout.toString()).evidence).toMatchObject({
      agreement: 2,
      resolvers: world.dohUrls,
    });

    await world.writeZone([recordOf(a), recordOf(b)], otherFile);
    for (const command of [
      ["get", TARGET, "-o", "-"],
      ["log", TARGET],
    ]) {
      const { code, stderr, stdout } = await world.run(...command);
      expect({ code, out: stdout.length }).toEqual({ code: EXIT.unverified, out: 0 });
      expect(stderr).toMatch(/dns-disagreement[\s\S]*third resolver/);
    }
    world.dohUrls.push(await world.startDns(world.zoneFile));
    expect((await world.get()).code).toBe(EXIT.ok);
  });

  test("of which one is gone readers go on with the other, and publishers do not", async () => {
    world.dohUrls.push(await world.startDns(world.zoneFile));
    await world.responders[0]?.stop();
    expect((await world.get()).code).toBe(EXIT.ok);
    expect(await world.publish()).toMatchObject({
      code: EXIT.unreachable,
      stderr: expect.stringContaining("dns-failed"),
    });
  });
});

test("where DNS is gone, readers go on with its last answer and are told; publishers, and strangers, do not", async () => {
  expect((await world.get()).code).toBe(EXIT.ok);
  await world.responders[0]?.stop();
  const stale = await world.get();
  expect(stale.stdout.equals(object.bytes)).toBe(true);
  expect(stale.stderr).toContain("DNS does not answer");
  expect(await world.publish()).toMatchObject({
    code: EXIT.unreachable,
    stderr: expect.stringContaining("dns-failed"),
  });
  expect((await world.run("get", "other.test/x", "-o", "-")).code).toBe(EXIT.unreachable);
});

describe("where DNSSEC was seen and is gone", () => {
  let zone: Zone;

  beforeEach(async () => {
    zone = { texts: [recordOf(a)], ttl: 0, ad: true };
    const server = await serve(async (request, response) => {
      const query = new Uint8Array(await readRequest(request));
      response.writeHead(200, { "content-type": SIGNED_ZONE_TYPE });
      response.end(encodeZone(zone, query));
    });
    world.dohUrls = [`${server.url}/dns-query`];
    expect((await world.get()).code).toBe(EXIT.ok);
    zone.ad = false;
  });

  test("readers are warned each time, publishers stop, until the user says that it is meant", async () => {
    for (const round of [1, 2]) {
      const { code, stderr } = await world.get();
      expect({ round, code }).toEqual({ round, code: EXIT.ok });
      expect(stderr).toMatch(/DNSSEC before[\s\S]*holdfast domain trust/);
    }
    expect(await world.publish()).toMatchObject({
      ...{ code: EXIT.unverified, stderr: expect.stringContaining("dnssec-lost") },
    });
    expect((await world.run("domain", "show", DOMAIN)).stdout.toString()).toContain("LOST");
    expect((await world.run("domain", "trust", DOMAIN)).stdout.toString()).toContain("no longer");
    expect((await world.get()).stderr).not.toContain("DNSSEC");
    expect((await world.publish()).stderr).not.toContain("dnssec-lost");
  });

  test("a key that comes meanwhile is not taken, though a known one stands beside it", async () => {
    zone.texts = [recordOf(a), recordOf(b)];
    expect(await world.get()).toMatchObject({
      code: EXIT.unverified,
      stderr: expect.stringContaining("dnssec-lost"),
    });
  });
});
