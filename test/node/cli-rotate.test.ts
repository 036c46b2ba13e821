// The walk from one key to the next, with the real command, real DNS over HTTPS and the real ssh-keygen and ssh-agent.

import { spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../cli/failure.ts";
import { parseZoneFile } from "../../cli/local/zone-file.ts";
import { formatKeyRecords, parseDomainRecords } from "../../lib/domain-records.ts";
import { requirePrograms } from "../e2e/requires.ts";
import { holdfast } from "./cli-fixture.ts";
import { DOMAIN, makeSigner } from "./client-fixture.ts";
import { a, addToAgent, b, OWNER, recordOf, runProgram, useTestDomain } from "./domain-fixture.ts";

const { missing } = requirePrograms({ "ssh-keygen": "openssh-client", "ssh-agent": "openssh-client" });
const world = useTestDomain();

describe("domain rotate", () => {
  const rotate = (...more: string[]) =>
    world.run("domain", "rotate", DOMAIN, "--key", "a", "--to", "b.pub", ...more);
  const step = async (...more: string[]) => JSON.parse((await rotate("--json", ...more)).stdout.toString());

  test("walks from one key to the next, and those who know only the old one follow", async () => {
    await world.get();
    const first = await rotate();
    expect(first).toMatchObject({ code: EXIT.ok, stderr: expect.stringContaining("Step 1 of 3") });
    const added = parseZoneFile(first.stdout.toString());
    expect(added.map(({ owner }) => owner)).toEqual([OWNER, OWNER]);
    const before = await readFile(world.zoneFile, "utf8");
    await writeFile(world.zoneFile, before + first.stdout.toString());

    const second = await step();
    expect(second).toMatchObject({ stage: "overlap", add: [], remove: [recordOf(a)] });
    expect(Date.parse(second.removeAfter)).toBeGreaterThan(Date.now() + 3_500_000);
    expect((await rotate()).stderr).toContain(`Not before`);

    await writeFile(world.zoneFile, first.stdout);
    world.author = b;
    expect(await step()).toMatchObject({ stage: "done", add: [], remove: [] });
    const followed = await world.get();
    expect(followed.code).toBe(EXIT.ok);
    expect(followed.stderr).toContain("signed the rotation");
  });

  test("asks for the rotation record where the old key went without one", async () => {
    await world.get();
    await world.writeZone([recordOf(b)]);
    const { stage, add } = await step();
    expect({ stage, records: add.length }).toEqual({ stage: "publish", records: 1 });
    await world.writeZone([recordOf(b), ...add]);
    world.author = b;
    expect(await world.get()).toMatchObject({ code: EXIT.ok });
  });

  test("carries the old key's addresses over, or takes those that are given", async () => {
    await world.writeZone(formatKeyRecords({ blob: a.key, emails: ["alice@example.test"] }));
    const emailsOf = (add: string[]) => parseDomainRecords(add).keys.flatMap(({ emails }) => emails);
    expect(emailsOf((await step()).add)).toEqual(["alice@example.test"]);
    expect(emailsOf((await step("--email", "bob@example.test")).add)).toEqual(["bob@example.test"]);
  });

  test("waits with --wait until DNS shows the records, also while it fails", async () => {
    const { add } = await step();
    const waiting = rotate("--wait", "--json");
    await sleep(2_000);
    await writeFile(world.zoneFile, "no zone file");
    await sleep(5_000);
    await world.writeZone([recordOf(a), ...add]);
    const { stdout, stderr } = await waiting;
    expect(JSON.parse(stdout.toString())).toMatchObject({ stage: "overlap" });
    expect(stderr).toMatch(/^Step 1 of 3/);
  });

  test("of a compromised key makes no rotation, takes back those that name it, and stops who knew only it", async () => {
    await world.get();
    const { add } = await step();
    await world.writeZone([recordOf(a), ...add]);
    const [, rotation] = add;
    expect(await step("--compromised")).toMatchObject({
      ...{ stage: "remove", add: [], remove: [recordOf(a), rotation] },
    });
    await world.writeZone([recordOf(b)]);
    expect(await step("--compromised")).toMatchObject({ stage: "done" });
    expect((await rotate("--compromised")).stderr).toContain("holdfast domain trust");
    expect((await world.get()).code).toBe(EXIT.unverified);
  });

  test("of a compromised key needs no more than its public half, and adds the new one first", async () => {
    const { stdout } = await world.run(
      ...["domain", "rotate", DOMAIN, "--key", "a.pub", "--to", "b.pub", "--compromised", "--json"],
    );
    expect(JSON.parse(stdout.toString())).toMatchObject({
      ...{ stage: "publish", add: [recordOf(b)], remove: [recordOf(a)] },
    });
  });

  test("is refused from a key to itself, and where neither key is the domain's", async () => {
    const same = await world.run("domain", "rotate", DOMAIN, "--key", "a", "--to", "a.pub");
    expect(same.code).toBe(EXIT.usage);
    await world.writeZone([recordOf(await makeSigner(3))]);
    expect((await rotate()).stderr).toContain("key-not-authorized");
  });

  test.skipIf(missing.length > 0)(
    "signs through an agent where the old key is named by its public half",
    async () => {
      const socket = join(world.cwd, "agent");
      const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
      try {
        await addToAgent(join(world.cwd, "a"), socket);
        await rm(join(world.cwd, "a"));
        const args = ["domain", "rotate", DOMAIN, "--key", "a.pub", "--to", "b.pub", "--json"];
        const env = { HOLDFAST_DOH: world.dohUrls.join(",") };
        const without = await holdfast(args, { cwd: world.cwd, env });
        expect(without).toMatchObject({ code: EXIT.failed, stderr: expect.stringContaining("ssh-add") });
        const { stdout } = await holdfast(args, { cwd: world.cwd, env: { ...env, SSH_AUTH_SOCK: socket } });
        const [, rotation = ""] = JSON.parse(stdout.toString()).add;
        await world.writeZone([recordOf(b), rotation]);
        const done = await holdfast(args, { cwd: world.cwd, env });
        expect(JSON.parse(done.stdout.toString())).toMatchObject({ stage: "done" });
      } finally {
        agent.kill();
      }
    },
  );

  test.skipIf(missing.length > 0)("makes a statement that ssh-keygen -Y verify accepts", async () => {
    const [rotation] = parseDomainRecords((await step()).add).rotations;
    if (rotation === undefined) throw new Error("there is no rotation");
    await writeFile(join(world.cwd, "statement.sig"), rotation.signature);
    await writeFile(join(world.cwd, "allowed"), `owner ${await readFile(join(world.cwd, "a.pub"), "utf8")}`);
    const verify = (bytes: Uint8Array, namespace: string) => {
      const args = ["-Y", "verify", "-f", "allowed", "-I", "owner", "-n", namespace, "-s", "statement.sig"];
      const child = runProgram("ssh-keygen", args, { cwd: world.cwd });
      child.child.stdin?.end(bytes);
      return child;
    };
    expect((await verify(rotation.bytes, "holdfast-domain")).stdout).toContain("Good");
    await expect(verify(rotation.bytes, "holdfast")).rejects.toThrow();
    const changed = rotation.bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte));
    await expect(verify(changed, "holdfast-domain")).rejects.toThrow();
  });
});
