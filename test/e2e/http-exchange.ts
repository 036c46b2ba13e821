// One HTTP request with exactly the headers given, and of its answer what two servers of one file must agree on.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";

const agent = new Agent({ keepAlive: true });

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export async function exchange(
  method: string,
  url: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const sent = request(url, { method, headers, agent });
  sent.end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const blocks: Buffer[] = [];
  for await (const block of answer) blocks.push(block);
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(blocks) };
}

/** One part of a multipart/byteranges body. */
interface Part {
  headers: string[];
  digest: string;
}

export interface Essence {
  status: number;
  contentLength?: string | undefined;
  contentRange?: string | undefined;
  contentType?: string | undefined;
  acceptRanges?: string | undefined;
  hasEtag?: boolean;
  hasDate?: boolean;
  body?: string | Part[];
}

/** Refusals have words of the server's own: of these only the status and the object's size count. */
export function essenceOf({ status, headers, body }: Answer): Essence {
  const contentRange = headers["content-range"];
  if (status >= 400) return { status, contentRange };
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(headers["content-type"] ?? "")?.[1];
  return {
    status,
    contentRange,
    contentLength: headers["content-length"],
    contentType: headers["content-type"]?.replace(/boundary=.*/, "boundary="),
    // nginx leaves it out of 206, where Content-Range says the same.
    acceptRanges: status === 206 ? undefined : headers["accept-ranges"],
    hasEtag: headers.etag !== undefined,
    hasDate: headers["last-modified"] !== undefined,
    body: boundary === undefined ? digestOf(body) : partsOf(body, boundary),
  };
}

/** The parts of a body that consists of nothing but parts. */
function partsOf(body: Buffer, boundary: string): Part[] {
  const [preamble, ...parts] = body.toString("latin1").split(`\r\n--${boundary}`);
  if (preamble !== "" || parts.pop() !== "--\r\n") throw new Error("the body is not framed by its boundary");
  return parts.map((part) => {
    const end = part.indexOf("\r\n\r\n");
    const headers = part.slice(0, end).split("\r\n").slice(1);
    return { headers, digest: digestOf(Buffer.from(part.slice(end + 4), "latin1")) };
  });
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
