// An object as its readers see it: over a bare socket, as curl does, so that an answer that ends too early is seen as what
// it is; and by `holdfast get`, into a file that is there when it is whole.

import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { parseManifest } from "../../lib/manifest.ts";
import type { Publisher } from "./publisher.ts";

export interface BareAnswer {
  /** 0 where the connection ended before there was a status. */
  status: number;
  /** What the head declares; null where it does not. */
  declaredBytes: number | null;
  body: Buffer;
}

/** Sends a GET and takes what comes until the connection ends, whichever way it ends. */
export async function bareGet(url: string, headers: Record<string, string> = {}): Promise<BareAnswer> {
  const { host, port, pathname, search } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  const lines = Object.entries({ host, connection: "close", ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
  const blocks: Buffer[] = [];
  socket.on("data", (block: Buffer) => void blocks.push(block));
  // A reset is an end like any other here; "close" follows it.
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("close", resolve));
  return parseAnswer(Buffer.concat(blocks));
}

function parseAnswer(bytes: Buffer): BareAnswer {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return { status: 0, declaredBytes: null, body: Buffer.alloc(0) };
  const head = bytes.subarray(0, end).toString("latin1");
  const [, status = "0"] = /^HTTP\/1\.1 (\d{3})/.exec(head) ?? [];
  const [, length] = /^content-length: (\d+)$/im.exec(head) ?? [];
  return {
    status: Number(status),
    declaredBytes: length === undefined ? null : Number(length),
    body: bytes.subarray(end + 4),
  };
}

/** What is wrong with an answer that should be `expected`: nothing, too little of it in a broken answer, or worse. */
export function judge(answer: BareAnswer, expected: Uint8Array): "whole" | "broken" | "refused" | "corrupt" {
  const { status, declaredBytes, body } = answer;
  if (status === 0 && body.length === 0) return "broken";
  if (status >= 500) return "refused";
  const isBeginning = Buffer.compare(body, expected.subarray(0, body.length)) === 0;
  // An answer that declares another length would end cleanly, short or long.
  if ((status !== 200 && status !== 206) || declaredBytes !== expected.length || !isBeginning)
    return "corrupt";
  return body.length === expected.length ? "whole" : "broken";
}

export interface FileRead {
  code: number;
  stderr: string;
  /** Null where no file of the name is there afterwards. */
  file: Buffer | null;
  /** What an unfinished download left; null where nothing. */
  part: Buffer | null;
  path: string;
}

/** `holdfast get` into a file: `path`, or a new one. */
export async function getFile(
  publisher: Publisher,
  name: string,
  path = newPath(publisher),
): Promise<FileRead> {
  const { code, stderr } = await publisher.holdfast("get", `${publisher.domain}/${name}`, "-o", path);
  const [file, part] = await Promise.all([readOrNull(path), readOrNull(`${path}.part`)]);
  return { code, stderr, file, part, path };
}

export function newPath(publisher: Publisher): string {
  return join(publisher.folder, `got-${randomBytes(6).toString("hex")}`);
}

export async function readOrNull(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

export interface Placed {
  hash: string;
  size: number;
  offset: number;
}

/** The chunks of the newest Version, in order. */
export async function chunksOf(publisher: Publisher, name: string): Promise<Placed[]> {
  const nameHash = sha256(`${publisher.domain}/${name}`);
  const { edgeUrl } = publisher.network;
  const response = await fetch(`${edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
  const { manifest } = (await response.json()) as { manifest: string };
  const parsed = parseManifest(new Uint8Array(Buffer.from(manifest, "base64")));
  if (!("chunks" in parsed)) throw new TypeError("the test's objects are small enough for one Manifest");
  let end = 0;
  return parsed.chunks.map(({ hash, size }) => {
    end += size;
    return { hash, size, offset: end - size };
  });
}

export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
