// What both ends of a registered connection need of WebSockets.

import type { RawData } from "ws";
import { FRAME_BYTES_MAX } from "../../lib/tunnel/frames.ts";

/** A small frame must not unpack into a large one, and none may be larger than the tunnel's. */
export const SOCKET_OPTIONS = { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX };
/** Whoever does not answer a close for so long is dropped. */
export const CLOSE_TIMEOUT_MS = 3_000;
/** RFC 6455 7.4.1. */
export const CLOSE_GOING_AWAY = 1001;

export function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? Buffer.from(data) : data;
}
