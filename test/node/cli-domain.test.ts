// A domain's keys as the command sees them over real sockets: which changes it follows, and where it stops.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../cli/failure.ts";
import { fingerprintOf } from "../../lib/openssh-key.ts";
import { stateFolder } from "./cli-fixture.ts";
import { DOMAIN } from "./client-fixture.ts";
import { a, b, object, recordOf, TARGET, useTestDomain } from "./domain-fixture.ts";

const world = useTestDomain();

describe("where a domain's keys change", () => {
  test("nothing is said at first, nor while they stay", async () => {
    for (const round of [1, 2]) {
      const { code, stderr, stdout } = await world.get();
      expect({ round, code, warned: stderr.includes("warning") }).toEqual({
        ...{ round, code: EXIT.ok, warned: false },
      });
      expect(stdout.equals(object.bytes)).toBe(true);
    }
    const known = await readFile(join(stateFolder(world.cwd), "holdfast", "known_domains"), "utf8");
    expect(known).toContain(`${DOMAIN} `);
    expect(known).toContain(fingerprintOf(a.key));
  });

  test("and none is left, every command stops with the reason, until the user trusts the new one", async () => {
    await world.get();
    await world.writeZone([recordOf(b)]);
    world.author = b;
    await writeFile(join(world.cwd, "app.iso"), object.bytes);
    const commands = [
      ["get", TARGET, "-o", "-"],
      ["ls", DOMAIN],
      ["log", TARGET],
      ["verify", TARGET, "app.iso"],
      ["publish", "app.iso", TARGET, "--key", "b", "--author", "b@example.test"],
    ];
    for (const command of commands) {
      const { code, stdout, stderr } = await world.run(...command);
      expect({ command, code, out: stdout.length }).toEqual({ command, code: EXIT.unverified, out: 0 });
      expect(stderr).toMatch(
        /HAVE CHANGED[\s\S]*holdfast domain trust example\.test[\s\S]*domain-keys-changed/,
      );
      expect(stderr).toContain(fingerprintOf(a.key));
      expect(stderr).toContain(fingerprintOf(b.key));
    }
    const asJson = await world.run("log", TARGET, "--json");
    expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { code: "domain-keys-changed" } });
    const shown = await world.run("domain", "show", DOMAIN, "--json");
    expect(JSON.parse(shown.stdout.toString())).toMatchObject({ stop: "domain-keys-changed" });

    const trusted = await world.run("domain", "trust", DOMAIN, "--json");
    expect(JSON.parse(trusted.stdout.toString())).toMatchObject({
      before: { fingerprints: [fingerprintOf(a.key)] },
      now: { fingerprints: [fingerprintOf(b.key)] },
    });
    expect(await world.get()).toMatchObject({ code: EXIT.ok });
  });

  test("and a known one is still there, the command goes on and says so once, on stderr", async () => {
    await world.get();
    await world.writeZone([recordOf(a), recordOf(b)]);
    const first = await world.run("log", TARGET, "--json");
    expect(first.code).toBe(EXIT.ok);
    expect(JSON.parse(first.stdout.toString())).toHaveLength(1);
    expect(first.stderr).toContain(`added ${fingerprintOf(b.key)}`);
    expect((await world.run("log", TARGET)).stderr).not.toContain("warning");
    await world.writeZone([recordOf(b)]);
    world.author = b;
    expect(await world.get()).toMatchObject({ code: EXIT.ok });
  });
});

test("domain show tells of policy, authors, what was withdrawn and revoked, and what is known here", async () => {
  const revoked = "0".repeat(64);
  await world.writeZone([
    ...[recordOf(a), "v=hf1; policy=moderated; a=alice@example.test, *@example.net"],
    ...["v=hf1; k=ssh-ed25519; p=", `v=hf1; revoked=${revoked}`],
  ]);
  await world.get();
  const shown = (await world.run("domain", "show", DOMAIN)).stdout.toString();
  for (const text of [
    "moderated, open to alice@example.test, *@example.net",
    "withdrawn",
    `delegation ${revoked}`,
    fingerprintOf(a.key),
    "known here  these keys",
  ])
    expect(shown).toContain(text);
});
