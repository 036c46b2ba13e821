// Registers at an edge as a home node does, with a URL of the caller's choice, and says what came of it.

import { WebSocket } from "ws";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import { type Challenge, formatFrame, parseEdgeFrame, registrationKind } from "../../lib/registration.ts";
import { createStatementSigner } from "../../lib/sshsig.ts";
import { formatSigned } from "../../lib/wire/signed.ts";

/** How an edge took a registration: `direct` where it reached the node, and a code. */
export interface Outcome {
  direct: boolean;
  code: string;
}

export async function registerWith(edgeUrl: string, url: string): Promise<Outcome> {
  const signer = createStatementSigner(await importSigner(crypto.getRandomValues(new Uint8Array(32))));
  const node = nodeIdOf(signer.key);
  const socket = new WebSocket(`${edgeUrl.replace(/^http/, "ws")}/node?id=${node}`);
  const answer = async ({ edge, nonce, epoch }: Challenge): Promise<string> => {
    const pledge = { bytes: 1000, uploadRate: null, downloadRate: null, domains: "all" as const };
    const body = {
      ...{ type: registrationKind.type, node, edge, nonce, epoch, url, pledge, freeBytes: 0 },
      ...{ origin: edgeUrl, time: new Date().toISOString(), software: "test/1" },
    };
    // Signed as it stands: the parser that would refuse some of these URLs is the edge's to run.
    const bytes = encodeCanonical(body);
    const signature = await signer.sign(registrationKind.namespace, bytes);
    return formatFrame({ type: "register", registration: formatSigned({ bytes, signature }) });
  };
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", (code) => resolve({ direct: false, code: `closed-${code}` }));
    socket.on("message", (data) => {
      const frame = parseEdgeFrame(String(data));
      if (frame.type === "challenge") return void answer(frame).then((text) => socket.send(text), reject);
      if (frame.type === "record") return;
      const { direct, code = "none" } =
        frame.type === "registered" ? frame : { direct: false, code: frame.code };
      resolve({ direct, code });
      socket.close();
    });
  });
}
