// Signing with keys that the real ssh-keygen made and a real ssh-agent holds; each signature is checked by
// `ssh-keygen -Y verify` too.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { loadSigner } from "../../cli/signing-key.ts";
import { parsePublicKeyLine } from "../../lib/openssh-key.ts";
import { verifySshSignature } from "../../lib/sshsig.ts";
import { requirePrograms } from "../e2e/requires.ts";
import { closeAll, temporaryFolder } from "./client-fixture.ts";

const run = promisify(execFile);
const MESSAGE = new TextEncoder().encode('{"type":"holdfast-version-1"}');
const PASSPHRASE = "correct horse";

const { missing } = requirePrograms({ "ssh-keygen": "openssh-client", "ssh-agent": "openssh-client" });

let dir: string;
let agent: ChildProcess | undefined;

beforeAll(async () => {
  if (missing.length > 0) return;
  dir = await temporaryFolder();
  await makeKey("plain", "");
  await makeKey("locked", PASSPHRASE);
  await makeKey("elsewhere", PASSPHRASE);
  const socket = join(dir, "agent");
  agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  await addToAgent("locked", socket);
});
beforeEach(() => {
  // No terminal, no dialogue: a passphrase that is asked for cannot be given.
  vi.stubEnv("SSH_ASKPASS", "/bin/false");
  vi.stubEnv("SSH_ASKPASS_REQUIRE", "force");
  vi.stubEnv("SSH_AUTH_SOCK", join(dir, "agent"));
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  agent?.kill();
  await closeAll();
});

function makeKey(name: string, passphrase: string): Promise<unknown> {
  return run("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", join(dir, name)]);
}

async function addToAgent(name: string, socket: string): Promise<void> {
  const askpass = join(dir, "askpass");
  await writeFile(askpass, `#!/bin/sh\necho '${PASSPHRASE}'\n`);
  await chmod(askpass, 0o700);
  const env = {
    ...process.env,
    SSH_AUTH_SOCK: socket,
    SSH_ASKPASS: askpass,
    SSH_ASKPASS_REQUIRE: "force",
    DISPLAY: ":0",
  };
  for (let attempt = 0; ; attempt++) {
    try {
      await run("ssh-add", [join(dir, name)], { env });
      return;
    } catch (error) {
      if (attempt === 50) throw error; // the agent's socket appears a moment after its start
      await sleep(100);
    }
  }
}

async function expectSignature(key: string, name: string): Promise<void> {
  const signer = await loadSigner({ key });
  const armored = await signer.sign("holdfast", MESSAGE);
  const line = await readFile(join(dir, `${name}.pub`), "utf8");
  expect(signer.key).toEqual(parsePublicKeyLine(line).blob);
  expect(await verifySshSignature(armored, "holdfast", MESSAGE)).toEqual(signer.key);
  await writeFile(join(dir, "message.sig"), armored);
  await writeFile(join(dir, "allowed"), `alice@example.org ${line}`);
  await expect(keygenVerify("holdfast")).resolves.toContain("Good");
  await expect(keygenVerify("file")).rejects.toThrow();
}

async function keygenVerify(namespace: string): Promise<string> {
  const args = ["-Y", "verify", "-f", join(dir, "allowed"), "-I", "alice@example.org", "-n", namespace];
  const child = run("ssh-keygen", [...args, "-s", join(dir, "message.sig")]);
  child.child.stdin?.end(MESSAGE);
  return (await child).stdout;
}

describe.skipIf(missing.length > 0)("a signing key", () => {
  test("without a passphrase signs in this process, from its file or from HOLDFAST_KEY's text", async () => {
    vi.stubEnv("PATH", "");
    const text = await readFile(join(dir, "plain"), "utf8");
    for (const key of [join(dir, "plain"), text]) {
      const signer = await loadSigner({ key });
      expect(await verifySshSignature(await signer.sign("holdfast", MESSAGE), "holdfast", MESSAGE)).toEqual(
        signer.key,
      );
    }
    vi.unstubAllEnvs();
    await expectSignature(join(dir, "plain"), "plain");
  });

  test("with a passphrase signs through ssh-keygen and the agent that holds it", async () => {
    await expectSignature(join(dir, "locked"), "locked");
  });

  test("named by its public half signs through the agent", async () => {
    await expectSignature(join(dir, "locked.pub"), "locked");
  });

  test("that neither agent nor terminal can open is refused with advice", async () => {
    const signer = await loadSigner({ key: join(dir, "elsewhere") });
    await expect(signer.sign("holdfast", MESSAGE)).rejects.toMatchObject({
      code: "invalid-key",
      message: expect.stringMatching(/could not sign with .*elsewhere \(.*passphrase.*ssh-add/),
    });
  });

  test("whose public half alone is here, and not in the agent, is refused with advice", async () => {
    const path = join(dir, "gone.pub");
    await writeFile(path, await readFile(join(dir, "elsewhere.pub")));
    const signer = await loadSigner({ key: path });
    await expect(signer.sign("holdfast", MESSAGE)).rejects.toMatchObject({
      code: "invalid-key",
      message: expect.stringContaining("ssh-add"),
    });
  });

  test("that does not belong to the .pub beside it is refused", async () => {
    await writeFile(join(dir, "mixed"), await readFile(join(dir, "locked")), { mode: 0o600 });
    await writeFile(join(dir, "mixed.pub"), await readFile(join(dir, "plain.pub")));
    const signer = await loadSigner({ key: join(dir, "mixed") });
    await expect(signer.sign("holdfast", MESSAGE)).rejects.toMatchObject({
      code: "invalid-key",
      message: expect.stringContaining("could not sign"),
    });
  });

  test("that is locked and has no .pub beside it is refused with the command that writes one", async () => {
    await writeFile(join(dir, "alone"), await readFile(join(dir, "locked")), { mode: 0o600 });
    await expect(loadSigner({ key: join(dir, "alone") })).rejects.toMatchObject({
      code: "invalid-key",
      message: expect.stringContaining("ssh-keygen -y -f"),
    });
  });

  test("that is locked cannot come as text", async () => {
    const text = await readFile(join(dir, "locked"), "utf8");
    await expect(loadSigner({ key: text })).rejects.toMatchObject({
      code: "invalid-key",
      message: expect.stringContaining("encrypted"),
    });
  });

  test("is asked for where none is set, and a missing file is named", async () => {
    await expect(loadSigner({ key: null })).rejects.toMatchObject({
      message: expect.stringContaining("HOLDFAST_KEY"),
    });
    const path = join(dir, "missing");
    await expect(loadSigner({ key: path })).rejects.toMatchObject({
      message: expect.stringContaining(`${path} (ENOENT)`),
    });
  });

  test("in an agent says so where ssh-keygen is not installed", async () => {
    const signer = await loadSigner({ key: join(dir, "locked.pub") });
    vi.stubEnv("PATH", dir);
    await expect(signer.sign("holdfast", MESSAGE)).rejects.toMatchObject({
      code: "invalid-key",
      message: expect.stringContaining("ssh-keygen was not found"),
    });
  });
});
