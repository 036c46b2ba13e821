// holdfast node status, against nodes that holdfast node run started: what it says for people and as JSON, and what it
// says where there is no node.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXIT } from "../../cli/failure.ts";
import { formatNodeStatus } from "../../cli/node-report.ts";
import { parseDomain } from "../../lib/names.ts";
import type { NodeRecord } from "../../lib/node-record.ts";
import { isLocal, type LocalNodeStatus, parseNodeReport } from "../../lib/node-status.ts";
import { adviceFor, REACH_CODES } from "../../lib/reach.ts";
import { holdfast, type RunningCommand, startHoldfast } from "./cli-fixture.ts";
import { closeAll, hashOf, temporaryFolder } from "./client-fixture.ts";

/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:1";

let cwd: string;
let running: RunningCommand[] = [];

beforeEach(async () => {
  cwd = await temporaryFolder();
});
afterEach(async () => {
  for (const command of running) await command.end("SIGKILL");
  running = [];
  await closeAll();
});

async function runNode(...args: string[]): Promise<RunningCommand> {
  const common = ["--dir", "node", "--edge", NOWHERE, "--doh", `${NOWHERE}/dns-query`];
  const command = await startHoldfast(
    ["node", "run", ...common, "--domains", "example.org,a.example", ...args],
    {
      cwd,
    },
  );
  running.push(command);
  return command;
}

const status = (...args: string[]) => holdfast(["node", "status", ...args], { cwd });

async function localStatus(): Promise<LocalNodeStatus> {
  const { code, stdout } = await status("--dir", "node", "--json");
  expect(code).toBe(EXIT.ok);
  const report = parseNodeReport(JSON.parse(stdout.toString()));
  if (!isLocal(report)) throw new Error("expected all of the status");
  return report;
}

describe("a node that runs", () => {
  test.each([
    ["with a listener", ["--listen", "127.0.0.1:0"], /^page +http:\/\/127\.0\.0\.1:\d+\/$/m],
    ["without one", ["--no-listen"], /^url +none: reached through its edges$/m],
  ])("%s tells everything by its folder", async (_what, args, line) => {
    await runNode("--pledge", "2GiB", "--reserve", "1MB", ...args);
    const { code, stdout, stderr } = await status("--dir", "node");
    expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: "" });
    const text = stdout.toString();
    expect(text).toMatch(line);
    expect(text).toMatch(/^space +\[\.{30}\] 0 B of 2\.0 GiB pledged$/m);
    expect(text).toMatch(/^contacts +0 home nodes known/m);
    expect(text).toMatch(/^announced +0 of its chunks and names/m);
    expect(text).toMatch(/^for others +0 records of what 0 nodes said to keep$/m);
    expect(text).toContain("keeps 977 KiB in reserve");
    expect(text).toMatch(/^domains +pledged to 2 domains; 0 receipts given$/m);
    expect(text).toMatch(/^ +a\.example +nothing yet$/m);
    expect(text).toMatch(/^today \(UTC\) +direct +0 B +0 +0 B +0$/m);
    expect(text).toMatch(/^edge +http:\/\/127\.0\.0\.1:1$/m);
    expect(text).toContain("ECONNREFUSED");
    expect(text).toContain("no audits yet");
  });

  test("tells its hours and its volunteer's name, where they were given", async () => {
    await runNode("--no-listen", "--hours", "22:00-06:00", "--name", "Ada's attic");
    const text = (await status("--dir", "node")).stdout.toString();
    expect(text).toMatch(/^name +Ada's attic$/m);
    expect(text).toMatch(/^serves +22:00-06:00 UTC each day, (now as well|not now)$/m);
    expect(await localStatus()).toMatchObject({
      name: "Ada's attic",
      pledge: { hours: { from: "22:00", to: "06:00" } },
    });
  });

  test("tells it as JSON too, and goes on with its counters after a restart", async () => {
    const node = await runNode("--no-listen");
    const before = await localStatus();
    expect(before).toMatchObject({ pledge: { domains: ["example.org", "a.example"] }, receipts: 0 });
    await node.end("SIGTERM");
    await runNode("--no-listen");
    expect((await localStatus()).id).toBe(before.id);
  });

  test("with a public URL tells strangers little, and that is said", async () => {
    await runNode("--listen", "127.0.0.1:0", "--url", "https://node.example.org");
    const page = new URL((await localStatus()).page ?? "");
    const { code, stdout, stderr } = await status("--url", page.origin);
    expect(code).toBe(EXIT.ok);
    expect(stdout.toString()).toMatch(/^url +https:\/\/node\.example\.org$/m);
    expect(stdout.toString()).not.toMatch(/^(domains|TRAFFIC|edge)/m);
    expect(stderr).toContain("use --dir for all of it");
    expect((await fetch(page)).status).toBe(200);
  });
});

describe("where no node answers, it exits with 5 and says what to do", () => {
  test("in a folder without one", async () => {
    const { code, stdout, stderr } = await status();
    expect({ code, stdout: stdout.toString() }).toEqual({ code: EXIT.unreachable, stdout: "" });
    expect(stderr).toContain(`no home node runs in ${join(cwd, ".local/share/holdfast")}`);
    expect(stderr).toContain("start one with holdfast node run");
  });

  test.each(["SIGTERM", "SIGKILL"] as const)("after %s", async (signal) => {
    const node = await runNode("--no-listen");
    await node.end(signal);
    const { code, stderr } = await status("--dir", "node");
    expect(code).toBe(EXIT.unreachable);
    expect(stderr).toContain("no home node runs in node");
  });

  test("while the process that has the folder does not answer", async () => {
    await mkdir(join(cwd, "node"));
    await writeFile(join(cwd, "node", "lock"), `${process.pid}\n`);
    const { code, stderr } = await status("--dir", "node", "--json");
    expect(code).toBe(EXIT.unreachable);
    const { error } = JSON.parse(stderr);
    expect(error).toMatchObject({
      code: "unreachable",
      message: expect.stringContaining("try again shortly"),
    });
    expect(error.message).toContain(`process ${process.pid}`);
  });

  test("both a folder and a URL are too much", async () => {
    const { code, stderr } = await status("--dir", "node", "--url", NOWHERE);
    expect(code).toBe(EXIT.usage);
    expect(stderr).toContain("cannot be used with");
  });
});

describe("the text", () => {
  const width = 80;
  const nowMs = Date.parse("2026-03-08T12:00:00.000Z");

  const record: NodeRecord = {
    ...{ standing: 0.2512, passed: 1234, failed: 56, chunkHours: 123_456_789, servedBytes: 123_456_789_012 },
    ...{ takenBytes: 4, firstSeen: "2026-01-08T12:00:00.000Z", uptime: 0.9999 },
    events: (["missing", "corrupt", "unreachable", "missing"] as const).map((code, i) => ({
      ...{ time: `2026-03-08T11:0${i}:00.000Z`, chunk: hashOf(Buffer.from(code)), code },
    })),
  };

  async function fullStatus(): Promise<LocalNodeStatus> {
    await runNode("--no-listen");
    const plain = await localStatus();
    const big = { requests: 1_234_567, bytes: 123_456_789_012 };
    const both = { in: big, out: big };
    const flows = { direct: both, tunnel: both, relay: both };
    const [edge] = plain.edges;
    if (edge === undefined) throw new Error("expected an edge");
    const edges = REACH_CODES.map((code) => ({
      ...edge,
      state: "registered" as const,
      direct: code === "reached",
      code,
      reason: `not reached: ${"why ".repeat(30)}`,
      advice: adviceFor(code),
      record,
    }));
    const domains = plain.pledge.domains === "all" ? [] : plain.pledge.domains;
    return {
      ...plain,
      chunks: 1_234_567,
      usedBytes: 7e9,
      accepted: {
        domains: domains.map((domain) => ({ domain, chunks: 1_234_567, bytes: 123_456_789_012 })),
        others: { chunks: 3, bytes: 4 },
      },
      traffic: { ...plain.traffic, total: flows, today: { date: "2026-03-08", ...flows } },
      edges,
    };
  }

  test("fits 80 columns, whatever the reason, and says for each what to do", async () => {
    const report = await fullStatus();
    const text = formatNodeStatus(report, nowMs, width);
    expect(text.split("\n").filter((line) => line.length > width)).toEqual([]);
    expect(text).toContain("[#####################.........] 6.5 GiB of 9.3 GiB pledged");
    for (const code of REACH_CODES.filter((code) => code !== "reached")) expect(text).toContain(`(${code})`);
    expect(text.match(/To become direct:/g)).toHaveLength(REACH_CODES.length - 1);
    expect(text).toContain("stands at  0.25 of 1: it is checked more often, until it has shown more\n");
    expect(text).toMatch(/^uptime +99\.9 % since 2026-01-08 12:00 UTC$/m);
    expect(text).toMatch(/^last wrong 2026-03-08 11:00 UTC: did not have chunk [0-9a-f]{12}…$/m);
    expect(text).not.toContain("11:03 UTC");
  });

  test("says nothing of how a node stands where the edge has not said", async () => {
    const report = await fullStatus();
    const edges = report.edges.map((edge) => ({ ...edge, record: null }));
    expect(formatNodeStatus({ ...report, edges }, nowMs, width)).not.toMatch(/^(stands at|carried|uptime)/m);
  });

  test("lists twenty domains, and says how many more there are", async () => {
    const report = await fullStatus();
    const domains = Array.from({ length: 30 }, (_, i) => parseDomain(`d${i}.example`));
    const text = formatNodeStatus({ ...report, pledge: { ...report.pledge, domains } }, nowMs, width);
    expect(text.match(/nothing yet/g)).toHaveLength(18);
    expect(text).toMatch(/^ +and 12 more: see --json$/m);
  });

  test("takes an edge's words for text, not for controls of the terminal", async () => {
    const report = await fullStatus();
    const edges = report.edges.map((edge) => ({
      ...edge,
      reason: "\u001b[2J\u202egone\r\n",
      url: "http://e\u0007",
    }));
    const text = formatNodeStatus({ ...report, edges }, nowMs, width);
    expect(text).toContain("gone");
    expect(text).not.toMatch(/[^\n\P{Cc}]|\u202e/u);
  });
});
