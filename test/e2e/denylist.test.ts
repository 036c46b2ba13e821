// Blocking, as an operator and a volunteer do it: the command against a real edge, whose publishers are refused what is
// blocked, and a real daemon that reads its file of hashes again when it is told to.

import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { Child } from "../../cli/local/child.ts";
import { freePort } from "../../cli/local/free-port.ts";
import { hashBytes } from "../../lib/hash.ts";
import { holdfast, Publisher } from "./publisher.ts";

const network = inject("network");
const PATIENCE = { timeout: 20_000, interval: 100 };

function operate(...args: string[]) {
  return holdfast(network, ["edge", ...args, "--key", network.sampleKeyFile]);
}

describe("an operator", () => {
  let publisher: Publisher;
  beforeAll(async () => {
    publisher = await Publisher.create(network);
  });

  test("blocks a name and allows it again; who asks is told, and nobody publishes it meanwhile", async () => {
    const subject = `${publisher.domain}/a.bin`;
    const file = await publisher.writeFile("a.bin", randomBytes(50_000));
    expect((await publisher.publish(file, "a.bin")).code).toBe(0);
    const denied = await operate("deny", subject, "--status", "451", "--reason", "court order 12/2027");
    expect(denied).toMatchObject({ code: 0, stdout: "", stderr: `${subject} is blocked\n` });
    await vi.waitUntil(async () => (await fetch(publisher.objectUrl("a.bin"))).status === 451, PATIENCE);
    const got = await publisher.holdfast("get", subject, "-o", "-");
    expect(got.code).not.toBe(0);
    expect(got.stderr).toContain("court order 12/2027");
    const next = await publisher.writeFile("b.bin", randomBytes(50_000));
    // Not by one who has seen it, to whom it seems to be gone, nor by one who has not, whom the edge refuses.
    expect((await publisher.publish(next, "a.bin")).code).not.toBe(0);
    const newcomer = { env: { XDG_STATE_HOME: publisher.folder } };
    const who = ["--key", publisher.keyFile, "--author", publisher.author];
    const refused = await holdfast(network, ["publish", next, subject, ...who], newcomer);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("court order 12/2027");
    expect((await publisher.publish(next, "b.bin")).code).toBe(0);
    expect((await operate("denied")).stdout).toContain(`${subject}  451`);
    expect(await operate("allow", subject)).toMatchObject({ code: 0, stderr: `${subject} is allowed\n` });
    await vi.waitUntil(async () => (await fetch(publisher.objectUrl("a.bin"))).status === 200, PATIENCE);
    expect((await publisher.publish(next, "a.bin")).code).toBe(0);
  });

  test("blocks a chunk, which is then not planned for anybody, and a domain, which plans nothing", async () => {
    const bytes = randomBytes(40_000);
    const hash = hashBytes(new Uint8Array(bytes));
    const file = await publisher.writeFile("c.bin", bytes);
    expect((await operate("deny", hash)).code).toBe(0);
    expect((await publisher.publish(file, "c.bin")).stderr).toContain(`this edge does not give ${hash}`);
    expect((await operate("allow", hash)).code).toBe(0);
    await vi.waitUntil(async () => (await publisher.publish(file, "c.bin")).code === 0, PATIENCE);
    expect((await operate("deny", publisher.domain)).code).toBe(0);
    const other = await publisher.writeFile("d.bin", randomBytes(100));
    expect((await publisher.publish(other, "d.bin")).stderr).toContain(publisher.domain);
    expect((await operate("allow", publisher.domain)).code).toBe(0);
  });

  test("is nobody without a key of the edge's", async () => {
    const args = ["edge", "deny", publisher.domain, "--key", publisher.keyFile, "--json"];
    const { code, stderr } = await holdfast(network, args);
    expect(code).not.toBe(0);
    expect(stderr).toContain("key-not-authorized");
    expect((await operate("denied", "--json")).stdout).toBe("[]\n");
  });

  test.each([
    [["deny", "no/.."], "invalid-domain"],
    [["deny", "example.org", "--status", "404"], "410 or 451"],
    [["deny", "example.org", "--reason", "x".repeat(201)], "200 characters"],
  ])("is told what is wrong with %j", async (args, words) => {
    const { code, stderr } = await operate(...args, "--json");
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });
});

describe("a volunteer's own list", () => {
  let folder: string;
  let node: Child | null = null;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-deny-"));
  });
  afterAll(async () => {
    await node?.stop();
    await rm(folder, { recursive: true });
  });

  test("is read again at SIGHUP; one that cannot be read leaves the last in force", async () => {
    const hash = hashBytes(new Uint8Array([1]));
    const file = join(folder, "denied");
    await writeFile(file, `# nothing yet\n`);
    const port = await freePort(28_000);
    const main = join(import.meta.dirname, "..", "..", "cli", "main.ts");
    const where = ["--dir", join(folder, "node"), "--listen", `127.0.0.1:${port}`, "--domains", "all"];
    const args = [
      main,
      "node",
      "run",
      ...where,
      "--edge",
      network.edgeUrl,
      "--doh",
      network.dohUrl,
      "--deny",
      file,
    ];
    node = new Child({ name: "node", command: process.execPath, args, logFile: join(folder, "log") });
    node.start();
    const status = async () => {
      try {
        return (await fetch(`http://127.0.0.1:${port}/chunk/${hash}`)).status;
      } catch (error) {
        if (error instanceof TypeError) return null; // not listening yet
        throw error;
      }
    };
    await vi.waitUntil(async () => (await status()) === 404, PATIENCE);
    await writeFile(file, `${hash} # one\n`);
    expect(await status()).toBe(404);
    node.kill("SIGHUP");
    await vi.waitUntil(async () => (await status()) === 410, PATIENCE);
    await writeFile(file, "no hash\n");
    node.kill("SIGHUP");
    await vi.waitUntil(() => node?.logTail().includes("the last one holds"), PATIENCE);
    expect(await status()).toBe(410);
    await writeFile(file, "");
    node.kill("SIGHUP");
    await vi.waitUntil(async () => (await status()) === 404, PATIENCE);
  });
});
