// `npm start`: a local network with one published sample, until Ctrl-C.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DEFAULT_PORT, LocalNetwork, SAMPLE_DOMAIN } from "./network.ts";

const SAMPLE_NAME = `${SAMPLE_DOMAIN}/hello.txt`;
const SAMPLE_TEXT = `Hello from Holdfast.

These bytes lie on home nodes, named by their SHA-256. A signed Version of ${SAMPLE_NAME}
names a Manifest, the Manifest names the chunks, and every reader can check all three.
`;
const PORT_MAX = 65_000;

const network = new LocalNetwork({ dir: join(process.cwd(), ".holdfast"), port: portFromEnv(), tell: say });
let stopping = false;

process.on("exit", () => network.killAll());
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0));

try {
  say("starting; the first time takes some seconds");
  await network.start();
  await publishSample();
  greet();
} catch (error) {
  if (!stopping) console.error(error instanceof Error ? error.message : error);
  await stop(1);
}

async function stop(exitCode: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  say("stopping");
  await network.stop();
  process.exit(exitCode);
}

async function publishSample(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
  try {
    const file = join(folder, "hello.txt");
    await writeFile(file, SAMPLE_TEXT);
    await runCli([
      "publish",
      file,
      SAMPLE_NAME,
      "--key",
      network.sampleKeyFile,
      "--author",
      `hello@${SAMPLE_DOMAIN}`,
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function runCli(args: string[]): Promise<void> {
  const main = join(import.meta.dirname, "..", "main.ts");
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, HOLDFAST_CONFIG: network.configFile },
  });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`holdfast ${args[0]} failed with exit code ${code}`);
}

function greet(): void {
  const edge = network.edgeUrl;
  const zone = relative(process.cwd(), network.zoneFile);
  const nodes = network.nodes.map((node) => `  ${node.name}   ${node.url}   pid ${node.process.pid}`);
  console.log(`
Holdfast is running.

  edge     ${edge}
  sample   ${edge}/obj/${SAMPLE_NAME}
  DNS      ${network.dohUrl}   from ${zone}
${nodes.join("\n")}

Try, in another terminal, in this folder:

  curl ${edge}/obj/${SAMPLE_NAME}
  npx holdfast get ${SAMPLE_NAME} -o -

  ssh-keygen -q -t ed25519 -N '' -f k
  npx holdfast domain records my.test --key k.pub >> ${zone}
  npx holdfast publish FILE my.test/file --key k --author me@my.test
  curl -fL ${edge}/obj/my.test/file | sha256sum

State stays in .holdfast/ (logs in .holdfast/logs). Ctrl-C ends everything.`);
}

function portFromEnv(): number {
  const port = Number(process.env.PORT ?? DEFAULT_PORT);
  if (Number.isInteger(port) && port > 0 && port <= PORT_MAX) return port;
  console.error(`PORT must be a whole number from 1 to ${PORT_MAX}`);
  process.exit(2);
}

function say(line: string): void {
  console.error(`holdfast: ${line}`);
}
