// The edge's page in a real browser, over a network of its own: five home nodes that hold example.test/hello.txt.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { publishSample } from "../../cli/local/sample.ts";
import { parseEdgeStatus } from "../../lib/wire/status.ts";
import { checkPage, HOSTILE_NAME, type PageFindings } from "./page-check.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, startNetwork } from "./setup.ts";

const { missing } = requirePrograms({
  chromium: "chromium",
  curl: "curl",
  "ssh-keygen": "openssh-client",
});
/** Each program prints its words, one a line, in place of running. */
const ECHO_WORDS = ["curl", "npx", "dig", "ssh-keygen", "sha256sum"]
  .map((program) => `${program}() { printf '%s\\n' "$@"; }`)
  .join("\n");

async function numbersOf(edgeUrl: string): Promise<{ versions: number }> {
  return parseEdgeStatus(await (await fetch(`${edgeUrl}/status`)).json()).index;
}

describe.skipIf(missing.length > 0)("the page", () => {
  let seen: PageFindings;
  let folder: string;
  let network: LocalNetwork;

  beforeAll(async () => {
    network = await startNetwork();
    await publishSample(network);
    // Shards report a second after a change, and the numbers include the sample then.
    await vi.waitUntil(async () => (await numbersOf(network.edgeUrl)).versions > 0, {
      timeout: 20_000,
      interval: 200,
    });
    folder = mkdtempSync(join(tmpdir(), "holdfast-page-"));
    seen = await checkPage(network.edgeUrl);
  });

  afterAll(async () => {
    await endNetwork(network);
    rmSync(folder, { recursive: true });
  });

  function shell(script: string): string {
    return execFileSync("/bin/bash", ["-c", script], { cwd: folder, encoding: "utf8" });
  }

  test("shows the network in numbers, its nodes and its objects", () => {
    expect(seen.numbers).toMatch(/home nodes online\n+5 of 5\n/);
    expect(seen.numbers).toMatch(/names\n+[1-9]/);
    expect(seen.members.match(/online since/g)).toHaveLength(5);
    expect(seen.recent).toContain("example.test/hello.txt");
  });

  test("looks an object up from the list of recent ones", () => {
    expect(seen.lookUp).toContain("Only a verifying client proves it");
    expect(seen.lookUp).toMatch(/signed by SHA256:[\w+/]{43} · 1 witness/);
    expect(seen.lookUp).toMatch(/at least 3, typically 3\nonline: at least 3, typically 3/);
    expect(seen.lookUp).toContain("the first Version");
    expect(seen.lookUp).toContain("the newest Version’s key is one of them");
  });

  test("says what is wrong and what to do about a name that is not known", () => {
    expect(seen.problem).toMatch(/no Version of this name/i);
    expect(seen.problem).toContain("Check the spelling");
  });

  test("finds the nodes closest to a partition, by keyboard alone", () => {
    expect(seen.partition).toBe("Partition 33");
    expect(seen.closestNodes).toBe(5);
  });

  test("complains neither in the console nor of its Content Security Policy", () => {
    expect(seen.consoleErrors).toEqual([]);
    expect(seen.cspViolations).toEqual([]);
  });

  test("is not wider than a phone", () => {
    expect(seen.overflowPx).toBeLessThanOrEqual(0);
  });

  test("moves nothing when it asks again", () => {
    expect(seen.refreshShift).toBe(0);
  });

  test("gives a sha256sum command whose output is the digest beside it", () => {
    const command = seen.commands.find((line) => line.endsWith("| sha256sum")) ?? "";
    const [digest] = shell(command).split(" ");
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(seen.lookUp).toContain(`expected: ${digest}`);
  });

  test("gives OpenSSH commands that verify the newest Version", () => {
    const command = seen.commands.find((lines) => lines.includes("ssh-keygen")) ?? "";
    const script = command.replace(/^dig .*$/m, ""); // example.test is in no public DNS
    expect(shell(script)).toMatch(/^Good "holdfast" signature for \S+@example\.test/);
  });

  test("shows hostile names and URLs as text", () => {
    expect(seen.hostile.text).toContain(HOSTILE_NAME);
    expect(seen.hostile.text).not.toContain("\u202e");
    expect(seen.hostile.elements).toBe(0);
    expect(seen.hostile.consoleErrors).toEqual([]);
    const origins = new Set(seen.hostile.hrefs.map((href) => new URL(href).origin));
    expect([...origins]).toEqual([network.edgeUrl]);
  });

  test("gives commands that a shell takes as they are meant, whatever the name", () => {
    const [get = ""] = seen.hostile.commands;
    const words = shell(`${ECHO_WORDS}\n${get}`).trimEnd().split("\n");
    expect(words).toEqual(["holdfast", "get", `example.test/${HOSTILE_NAME}`, "--edge", network.edgeUrl]);
    for (const command of seen.hostile.commands) shell(`${ECHO_WORDS}\n${command}`);
    expect(readdirSync(folder).filter((file) => file.includes("pwned"))).toEqual([]);
  });
});
