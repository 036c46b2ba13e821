// The other end of the bare relay: a WebSocket client that sends frames from memory when it is asked for a piece, and
// says so when it has all of a piece that it was sent.

import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import { inputOf } from "./program.ts";

const FRAME_BYTES = 256 * 1024;
const FRAMES_PER_PIECE = 4;

const frame = randomBytes(FRAME_BYTES);
const { url } = inputOf<{ url: string }>();
const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: FRAME_BYTES });
const expected: number[] = [];
let received = 0;

socket.on("message", (data: Buffer, isBinary) => {
  if (isBinary) receive(data.length);
  else if (data.toString() === "send") sendPiece();
  else expected.push(Number(data.toString()));
});

function sendPiece(): void {
  for (let i = 0; i < FRAMES_PER_PIECE; i++) socket.send(frame);
}

function receive(bytes: number): void {
  received += bytes;
  if (received !== expected[0]) return;
  received = 0;
  expected.shift();
  socket.send("all of it");
}
