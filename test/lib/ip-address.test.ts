// Which addresses are public, and which count as one customer's.

import { describe, expect, test } from "vitest";
import { customerOf, isPublicAddress } from "../../lib/ip-address.ts";

describe("an address", () => {
  test.each([
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.254",
    "2606:4700::1111",
    "2a00:1450:4001:82f::200e",
    "64:ff9b::1.1.1.1",
    "::ffff:1.1.1.1",
  ])("%s is public", (address) => expect(isPublicAddress(address)).toBe(true));

  test.each([
    "",
    "example.org",
    "[2606:4700::1111]",
    "1.1.1.1:80",
    "0.0.0.0",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.255.255",
    "198.18.0.0",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1.1.1.1",
    "100::1",
    "2001:db8::1",
    "2001:0:1::1",
    "2002:101:101::",
    "4000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
  ])("%j is not public", (address) => expect(isPublicAddress(address)).toBe(false));
});

describe("limits count", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"],
    ["2001:db8:1:2::", "2001:db8:1:2::"],
    ["2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"],
    ["2001:db8:1:3::", "2001:db8:1:3::"],
    ["no address", "no address"],
  ])("%s as %s", (address, customer) => expect(customerOf(address)).toBe(customer));
});
