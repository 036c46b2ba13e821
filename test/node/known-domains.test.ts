// The file of known domains: readable, edited by hand, written by several runs at once, bounded.

import { mkdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  formatKnownLine,
  KNOWN_DOMAINS_MAX,
  KnownDomainsFile,
  knownDomainsPath,
  parseKnownLine,
} from "../../cli/known-domains.ts";
import { parseDomain } from "../../lib/names.ts";
import { closeAll, temporaryFolder } from "./client-fixture.ts";

const domain = parseDomain("example.org");
const PRINT = `SHA256:${"A".repeat(43)}`;
const entry = (seenAt = "2026-01-02T03:04:05.678Z", dnssec = true) => ({
  fingerprints: [PRINT],
  dnssec,
  seenAt,
});

let path: string;
let warnings: string[];
const file = () => new KnownDomainsFile({ path, warn: (text) => warnings.push(text) });

beforeEach(async () => {
  path = knownDomainsPath(join(await temporaryFolder(), "state", "seen"));
  warnings = [];
});
afterEach(closeAll);

describe("known domains", () => {
  test("are there for the next run, in a file that nobody else may read", async () => {
    expect(await file().find(domain)).toBeNull();
    await file().remember(domain, entry());
    expect(await file().find(domain)).toEqual(entry());
    expect(await file().find(parseDomain("example.net"))).toBeNull();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, "utf8")).toContain(`example.org 2026-01-02T03:04:05.678Z dnssec ${PRINT}\n`);
  });

  test("of many runs that write at once are all kept", async () => {
    const domains = Array.from({ length: 30 }, (_, i) => parseDomain(`d${i}.test`));
    await Promise.all(domains.map((one) => file().remember(one, entry())));
    for (const one of domains) expect(await file().find(one)).toEqual(entry());
    expect(warnings).toEqual([]);
  });

  test("outlive a run that was killed while it held the lock", async () => {
    await file().remember(domain, entry());
    await writeFile(`${path}.lock`, "");
    const past = new Date(Date.now() - 60_000);
    await utimes(`${path}.lock`, past, past);
    await file().remember(domain, entry("2026-02-02T03:04:05.678Z"));
    expect((await file().find(domain))?.seenAt).toBe("2026-02-02T03:04:05.678Z");
  });

  test("are so many, and the one seen longest ago goes first", async () => {
    const lines = Array.from({ length: KNOWN_DOMAINS_MAX }, (_, i) =>
      formatKnownLine(parseDomain(`d${i}.test`), entry(new Date(Date.UTC(2026, 0, 1) + i).toISOString())),
    );
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, `${lines.join("\n")}\n`);
    await file().remember(domain, entry());
    expect(await file().find(parseDomain("d0.test"))).toBeNull();
    expect(await file().find(parseDomain("d1.test"))).not.toBeNull();
    expect(await file().find(domain)).toEqual(entry());
  });

  test("with a damaged line are not taken for unknown: the line is named", async () => {
    await file().remember(domain, entry());
    await writeFile(
      path,
      `${await readFile(path, "utf8")}other.test 2026-01-02T03:04:05.678Z maybe ${PRINT}\n`,
    );
    await expect(file().find(domain)).rejects.toMatchObject({
      code: "invalid-record",
      message: expect.stringContaining("line 3 is damaged"),
    });
  });

  test("that cannot be kept are told of, and nothing else happens", async () => {
    await writeFile(join(path, "..", "..", "state"), "a file where the folder should be");
    await file().remember(domain, entry());
    expect(warnings).toEqual([expect.stringContaining("not remembered")]);
  });
});

test("a line comes back as it was written, and anything else is refused", () => {
  const line = formatKnownLine(domain, { ...entry(), dnssec: false });
  expect(parseKnownLine(line)).toEqual({ domain, known: { ...entry(), dnssec: false } });
  for (const bad of [
    "",
    "example.org",
    line.replace(" - ", " x "),
    line.replace("Z", ""),
    line.replace("SHA256", "MD5"),
    line.replace("example.org", "Example.org"),
  ])
    expect(() => parseKnownLine(bad)).toThrow();
});
