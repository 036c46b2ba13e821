// What a connection is made to when a name has several addresses. That no connection is made inside is an end-to-end test.

import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns";
import { describe, expect, test } from "vitest";
import { createPublicLookup, type ResolveAll } from "../../cli/public-lookup.ts";

function answering(addresses: LookupAddress[]): ResolveAll {
  return (_hostname, _options, callback) => callback(null, addresses);
}

function addressesFor(resolve: ResolveAll, host = "node.example.org", all = true): Promise<unknown> {
  return new Promise((done, fail) => {
    createPublicLookup(resolve)(host, { all }, (error, address) =>
      error === null ? done(address) : fail(error),
    );
  });
}

const inside = { address: "192.168.1.1", family: 4 };
const outside = { address: "198.41.0.4", family: 4 };
const outside6 = { address: "2001:503:ba3e::2:30", family: 6 };

describe("a name that a stranger gave", () => {
  test("leads to its public addresses only", async () => {
    const resolve = answering([inside, outside, { address: "::1", family: 6 }, outside6]);
    expect(await addressesFor(resolve)).toEqual([outside, outside6]);
    expect(await addressesFor(resolve, "node.example.org", false)).toBe(outside.address);
  });

  test("leads nowhere where it has none", async () => {
    const refused = { name: "NotPublicError", message: "node.example.org is no public address" };
    await expect(addressesFor(answering([inside]))).rejects.toMatchObject(refused);
    await expect(addressesFor(answering([]))).rejects.toMatchObject(refused);
  });

  test("is asked of this machine's own resolver", async () => {
    await expect(addressesFor(lookup, "localhost")).rejects.toMatchObject({ name: "NotPublicError" });
  });
});
