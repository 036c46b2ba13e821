import { appendFile, mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { JOURNAL_BYTES_MAX, journalPath, ReceiptJournal } from "../../cli/receipt-journal.ts";
import { parseDomain, parseName } from "../../lib/names.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import { signStatement } from "../../lib/statement.ts";
import { RECEIPT_AGE_MAX_MS, type Receipt, receiptKind } from "../../lib/upload.ts";
import { formatSigned, type SignedJson } from "../../lib/wire/signed.ts";
import { closeAll, DOMAIN, hashOf, makeSigner, seededBytes, temporaryFolder } from "./client-fixture.ts";

afterEach(closeAll);

const NOW = Date.parse("2026-03-01T12:00:00.000Z");

async function receiptOf(seed: string, change: Partial<Receipt> = {}): Promise<SignedJson> {
  const signer = await makeSigner(7);
  const bytes = seededBytes(seed, 100);
  const body: Receipt = {
    type: receiptKind.type,
    node: nodeIdOf(signer.key),
    domain: DOMAIN,
    chunks: [{ hash: hashOf(bytes), size: bytes.length }],
    time: new Date(NOW).toISOString(),
    ...change,
  };
  return formatSigned(await signStatement(receiptKind, body, signer));
}

interface TestJournal {
  journal: ReceiptJournal;
  warnings: string[];
}

function open(path: string, now = NOW): TestJournal {
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  return { journal: new ReceiptJournal({ path, domain: DOMAIN, now: () => now, warn }), warnings };
}

async function newPath(): Promise<string> {
  return join(await temporaryFolder(), "state", "receipts", "one.jsonl");
}

describe("a journal of receipts", () => {
  test("gives a later run what an earlier one kept and did not release", async () => {
    const path = await newPath();
    const receipts = await Promise.all(["a", "b", "c"].map((seed) => receiptOf(seed)));
    const first = open(path).journal;
    for (const receipt of receipts) await first.keep(receipt);
    await first.release(receipts.slice(0, 1));
    expect(await open(path).journal.earlier()).toEqual(receipts.slice(1));
  });

  test("leaves no file when all is released, and none where nothing was kept", async () => {
    const path = await newPath();
    const { journal } = open(path);
    expect(await journal.earlier()).toEqual([]);
    const receipt = await receiptOf("a");
    await journal.keep(receipt);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await journal.release([receipt]);
    expect(await readdir(dirname(path))).toEqual([]);
  });

  test("loses nothing of many receipts that come at once", async () => {
    const path = await newPath();
    const receipts = await Promise.all(Array.from({ length: 40 }, (_, i) => receiptOf(`many ${i}`)));
    const { journal } = open(path);
    await Promise.all(receipts.map((receipt) => journal.keep(receipt)));
    const earlier = await open(path).journal.earlier();
    expect(new Set(earlier.map(({ signature }) => signature))).toEqual(
      new Set(receipts.map(({ signature }) => signature)),
    );
  });

  test("passes over what no edge would take: torn, altered, of another domain, too old", async () => {
    const path = await newPath();
    const good = await receiptOf("good");
    const altered = { ...(await receiptOf("altered")), signature: good.signature };
    const foreign = await receiptOf("foreign", { domain: parseDomain("example.net") });
    const old = await receiptOf("old", { time: new Date(NOW - RECEIPT_AGE_MAX_MS - 1000).toISOString() });
    const { journal } = open(path);
    for (const receipt of [altered, foreign, old, good]) await journal.keep(receipt);
    await appendFile(path, JSON.stringify(await receiptOf("torn")).slice(0, 300));
    expect(await open(path).journal.earlier()).toEqual([good]);
  });

  test("is not read where it is larger than a journal can be", async () => {
    const path = await newPath();
    await open(path).journal.keep(await receiptOf("a"));
    await appendFile(path, "\n".repeat(JOURNAL_BYTES_MAX));
    expect(await open(path).journal.earlier()).toEqual([]);
  });

  test("removes those that nobody took up again within a day", async () => {
    const path = await newPath();
    const abandoned = join(dirname(path), "abandoned.jsonl");
    await mkdir(dirname(path), { recursive: true });
    await writeFile(abandoned, "");
    await utimes(abandoned, NOW / 1000, NOW / 1000);
    await open(path, NOW + RECEIPT_AGE_MAX_MS - 1000).journal.earlier();
    expect(await readdir(dirname(path))).toEqual(["abandoned.jsonl"]);
    await open(path, NOW + RECEIPT_AGE_MAX_MS + 1000).journal.earlier();
    expect(await readdir(dirname(path))).toEqual([]);
  });

  test("where it cannot be kept, says so once and stands in nobody's way", async () => {
    const path = await newPath();
    await mkdir(dirname(dirname(path)), { recursive: true });
    await writeFile(dirname(path), "a file where the folder should be");
    const { journal, warnings } = open(path);
    expect(await journal.earlier()).toEqual([]);
    const receipt = await receiptOf("a");
    await journal.keep(receipt);
    await journal.release([receipt]);
    expect(warnings).toHaveLength(1);
    expect(await readFile(dirname(path), "utf8")).toContain("a file");
  });
});

describe("the place of a journal", () => {
  const target = { domain: DOMAIN, name: parseName("app.iso") };

  test("is the state folder of the environment, and another for each edge and name", () => {
    const env = { XDG_STATE_HOME: "/state" };
    const paths = [
      journalPath(env, "https://edge.example.org", target),
      journalPath(env, "https://other.example.org", target),
      journalPath(env, "https://edge.example.org", { ...target, name: parseName("app.isp") }),
    ];
    expect(new Set(paths).size).toBe(3);
    for (const path of paths) expect(path).toMatch(/^\/state\/holdfast\/receipts\/[0-9a-f]{64}\.jsonl$/);
  });

  test("is in the home folder where the environment names none, or a relative one", () => {
    for (const env of [{}, { XDG_STATE_HOME: "" }, { XDG_STATE_HOME: "state" }]) {
      expect(journalPath(env, "https://edge.example.org", target)).toContain("/.local/state/holdfast/");
    }
  });
});
