// The object that a new local network is given, so that there is something to read.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type LocalNetwork, SAMPLE_DOMAIN } from "./network.ts";

export const SAMPLE_NAME = `${SAMPLE_DOMAIN}/hello.txt`;
const SAMPLE_TEXT = `Hello from Holdfast.

These bytes lie on home nodes, named by their SHA-256. A signed Version of ${SAMPLE_NAME}
names a Manifest, the Manifest names the chunks, and every reader can check all three.
`;

/** Publishes the sample with the command itself. A network that has it already gets no new Version. */
export async function publishSample(network: LocalNetwork): Promise<void> {
  const main = join(import.meta.dirname, "..", "main.ts");
  const options = ["--key", network.sampleKeyFile, "--author", `hello@${SAMPLE_DOMAIN}`];
  const child = spawn(process.execPath, [main, "publish", "-", SAMPLE_NAME, ...options], {
    stdio: ["pipe", "ignore", "pipe"],
    // What it remembers is about this network, and goes with it.
    env: { ...process.env, HOLDFAST_CONFIG: network.configFile, XDG_STATE_HOME: network.dir },
  });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    words += text;
  });
  child.stdin.end(SAMPLE_TEXT);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the sample could not be published:\n${words}`);
}
