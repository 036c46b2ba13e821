// Sends a file through the bare relay, a piece of 1 MiB a request, as many at once as the publisher sends chunks.

import { open } from "node:fs/promises";
import pLimit from "p-limit";
import { UPLOADS_AT_ONCE } from "../../lib/client/uploader.ts";
import { inputOf, report, secondsOf } from "./program.ts";

const PIECE_BYTES = 1024 * 1024;

interface Input {
  file: string;
  url: string;
  /** How often each piece is sent. */
  copies: number;
}

async function upload({ file, url, copies }: Input): Promise<void> {
  const limit = pLimit(UPLOADS_AT_ONCE);
  const source = await open(file);
  const { size } = await source.stat();
  const sendPiece = async (position: number): Promise<void> => {
    const { buffer, bytesRead } = await source.read(new Uint8Array(PIECE_BYTES), 0, PIECE_BYTES, position);
    for (let copy = 0; copy < copies; copy++) await put(url, buffer.subarray(0, bytesRead));
  };
  const positions = Array.from({ length: Math.ceil(size / PIECE_BYTES) }, (_, i) => i * PIECE_BYTES);
  await Promise.all(positions.map((position) => limit(() => sendPiece(position))));
  await source.close();
}

async function put(url: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  const response = await fetch(url, { method: "PUT", body });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}

const input = inputOf<Input>();
report({ seconds: await secondsOf(() => upload(input)) });
