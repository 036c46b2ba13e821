// Every kind of statement that there is, signed here and verified by the real ssh-keygen; and by nothing else than its own
// namespace.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { delegationKind } from "../../lib/delegation.ts";
import { operatorKind } from "../../lib/denial.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { registrationKind } from "../../lib/registration.ts";
import { removalKind } from "../../lib/removal.ts";
import { rotationKind } from "../../lib/rotation.ts";
import { createStatementSigner, NAMESPACES, type StatementSigner } from "../../lib/sshsig.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { grantKind, receiptKind, uploadKind } from "../../lib/upload.ts";
import { versionKind } from "../../lib/version.ts";
import { witnessKind } from "../../lib/witness.ts";
import { requirePrograms } from "../e2e/requires.ts";

const { missing } = requirePrograms({ "ssh-keygen": "openssh-client" });
const domain = parseDomain("example.org");
const name = parseName("app.iso");
const nameHash = nameHashOf(domain, name);
const hash = hashBytes(new Uint8Array());
const [time, later] = ["2026-01-02T03:04:05.678Z", "2026-01-02T04:04:05.678Z"];
const author = "alice@example.org";
const PLEDGE = { bytes: 1_000_000, uploadRate: null, downloadRate: null, domains: "all" as const };
const NODE = { url: null, pledge: PLEDGE, freeBytes: 1 };

/** One of each kind, by its type. */
async function statements(signer: StatementSigner): Promise<Record<string, [string, SignedStatement]>> {
  const key = formatPublicKeyText(signer.key);
  const other = formatPublicKeyText((await signerOf(8)).key);
  const node = nodeIdOf(signer.key);
  const made = [
    await signStatement(
      versionKind,
      {
        ...{ type: versionKind.type, domain, name, nameHash, sequence: 1, previous: null, time },
        ...{ manifest: hash, size: 0, author },
      },
      signer,
    ),
    await signStatement(
      removalKind,
      { type: removalKind.type, domain, nameHash, author, reason: "why", time, through: 1 },
      signer,
    ),
    await signStatement(
      delegationKind,
      {
        type: delegationKind.type,
        domain,
        email: author,
        key: other,
        names: ["*"],
        from: time,
        until: later,
      },
      signer,
    ),
    await signStatement(
      rotationKind,
      { type: rotationKind.type, domain, from: key, to: other, time },
      signer,
    ),
    await signStatement(
      witnessKind,
      {
        ...{ type: witnessKind.type, version: hash, domain, key, edge: hash, time },
        dns: { records: [], ad: false, ttlSeconds: 5 },
      },
      signer,
    ),
    await signStatement(
      grantKind,
      { type: grantKind.type, domain, author, session: other, bytes: 1, time, expires: later },
      signer,
    ),
    await signStatement(
      uploadKind,
      { type: uploadKind.type, grant: hash, node, chunks: [hash], time },
      signer,
    ),
    await signStatement(
      receiptKind,
      { type: receiptKind.type, node, domain, chunks: [{ hash, size: 0 }], time },
      signer,
    ),
    await signStatement(
      registrationKind,
      {
        ...{ type: registrationKind.type, node, edge: hash, origin: "https://edge.example.org", nonce: hash },
        ...{ epoch: 1, time, software: "test", ...NODE },
      },
      signer,
    ),
    await signStatement(
      operatorKind,
      {
        ...{ type: operatorKind.type, edge: hash, time, nonce: hash },
        change: { action: "deny", subject: "example.org/app.iso", status: 410, reason: "why" },
      },
      signer,
    ),
  ];
  const kinds = [
    ...[versionKind, removalKind, delegationKind, rotationKind, witnessKind],
    ...[grantKind, uploadKind, receiptKind, registrationKind, operatorKind],
  ];
  return Object.fromEntries(
    kinds.map(({ type, namespace }, i) => {
      const statement = made[i];
      if (statement === undefined) throw new TypeError(`no ${type}`);
      return [type, [namespace, statement]];
    }),
  );
}

const signerOf = async (fill: number) =>
  createStatementSigner(await importSigner(new Uint8Array(32).fill(fill)));

describe.skipIf(missing.length > 0)("ssh-keygen -Y verify", () => {
  let folder: string;
  let signer: StatementSigner;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-keygen-"));
    signer = await signerOf(7);
    await writeFile(join(folder, "allowed"), `${author} ssh-ed25519 ${formatPublicKeyText(signer.key)}\n`);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function verify({ bytes, signature }: SignedStatement, namespace: string): Promise<boolean> {
    await writeFile(join(folder, "signature"), signature);
    const child = spawn(
      "ssh-keygen",
      ["-Y", "verify", "-f", "allowed", "-I", author, "-n", namespace, "-s", "signature"],
      { cwd: folder, stdio: ["pipe", "ignore", "ignore"] },
    );
    child.stdin.end(bytes);
    const [code] = await once(child, "close");
    return code === 0;
  }

  test("accepts every kind of statement, in its own namespace and in no other", async () => {
    const made = await statements(signer);
    for (const [type, [namespace, statement]] of Object.entries(made)) {
      for (const tried of NAMESPACES)
        expect({ type, tried, good: await verify(statement, tried) }).toEqual({
          ...{ type, tried, good: tried === namespace },
        });
      const spoiled = { ...statement, bytes: statement.bytes.with(5, (statement.bytes[5] ?? 0) ^ 1) };
      expect(await verify(spoiled, namespace), type).toBe(false);
    }
    console.log(`${Object.keys(made).length} kinds of statements, ${NAMESPACES.length} namespaces`);
  });
});
