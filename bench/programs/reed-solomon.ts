// Reed-Solomon by itself, over stripes of random chunks in memory; and what SHA-256 and a plain copy of the same data take.

import { nodeHasher } from "../../cli/node-host.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { decode, type Member, ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import { randomBlocks } from "../random-file.ts";
import { CODEC_SCHEME, type CodecInput } from "../redundancy.ts";
import { inputOf, report, secondsOf } from "./program.ts";

const { data, parity } = CODEC_SCHEME;
const STRIPE_BYTES = data * CHUNK_BYTES_MAX;

function makeStripe(): Member[] {
  const all = Buffer.concat([...randomBlocks("stripe", STRIPE_BYTES)]);
  const chunks = Array.from({ length: data }, (_, i) =>
    Uint8Array.from(all.subarray(i * CHUNK_BYTES_MAX, (i + 1) * CHUNK_BYTES_MAX)),
  );
  return [...chunks, ...encode(chunks)].map((bytes, position) => ({ position, bytes }));
}

const encoder = new ParityEncoder(parity, CHUNK_BYTES_MAX);

function encode(chunks: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer>[] {
  for (const chunk of chunks) encoder.add(chunk);
  return encoder.finish();
}

async function work({ work, lost }: CodecInput, stripe: readonly Member[]): Promise<void> {
  const chunks = stripe.slice(0, data).map(({ bytes }) => bytes);
  if (work === "encode") encode(chunks);
  if (work === "decode") {
    const positions = Array.from({ length: lost }, (_, i) => i);
    decode(data, stripe.slice(lost), positions);
  }
  if (work === "hash") for (const chunk of chunks) await nodeHasher.digest(chunk);
  if (work === "copy") for (const chunk of chunks) chunk.slice();
}

const input = inputOf<CodecInput>();
const stripe = makeStripe();
// The runtime compiles what it has seen often.
await work(input, stripe);
const rounds = Math.ceil(input.sizeBytes / STRIPE_BYTES);
const seconds = await secondsOf(async () => {
  for (let i = 0; i < rounds; i++) await work(input, stripe);
});
report({ seconds: (seconds * input.sizeBytes) / (rounds * STRIPE_BYTES) });
