// `npm start`: a local network with one published sample, until Ctrl-C.

import { join, relative } from "node:path";
import { DEFAULT_PORT, LocalNetwork } from "./network.ts";
import { publishSample, SAMPLE_NAME } from "./sample.ts";

const PORT_MAX = 65_000;
/** Settings of the edge that may be tried here: the others hold the local network together. */
const SETTINGS_FROM_ENV = [
  "OPERATOR_KEYS",
  "QUOTA_BYTES",
  "DOMAIN_QUOTAS",
  "RATE_LIMITS",
  "REPAIR_GRACE_SECONDS",
  "SWEEP_SECONDS",
  "AUDITS_PER_DAY",
  "SPLIT_ROWS",
  "DNSSEC_MEMORY_DAYS",
  "STREAM_BYTES_MAX",
];

const network = new LocalNetwork({
  dir: join(process.cwd(), ".holdfast"),
  port: portFromEnv(),
  settings: settingsFromEnv(),
  tell: say,
});
const EDGELESS = "get, log and ls go on with --from and the URL of a home node";
let stopping = false;

process.on("exit", () => network.killAll());
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0));

try {
  say("starting; the first time takes some seconds");
  await network.start();
  if (network.isRebuilding) say("the edge's index is gone: the home nodes bring it back");
  // Its Version is among what comes back: a second one of sequence 1 would be a fork.
  else await publishSample(network);
  greet();
  network.edge.onEnd(() => {
    if (!stopping) say(`the edge has ended: ${EDGELESS}`);
  });
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

function greet(): void {
  const edge = network.edgeUrl;
  const zone = relative(process.cwd(), network.zoneFile);
  const entry = network.nodes.find(({ url }) => url !== null)?.url;
  const nodes = network.nodes.map(
    (node) => `  ${node.name}   ${(node.url ?? "no listener: relayed").padEnd(22)}   pid ${node.process.pid}`,
  );
  console.log(`
Holdfast is running.

  edge     ${edge.padEnd(22)}   pid ${network.edge.pid}
  sample   ${edge}/obj/${SAMPLE_NAME}
  DNS      ${network.dohUrl}   from ${zone}
${nodes.join("\n")}

Try, in another terminal, in this folder:

  curl ${edge}/obj/${SAMPLE_NAME}
  npx holdfast get ${SAMPLE_NAME} -o -
  npx holdfast get --from ${entry} ${SAMPLE_NAME} -o -      (by home nodes alone: the edge may be killed)
  npx holdfast edge check${network.isRebuilding ? " --wait" : ""}
  npx holdfast node status --dir ${relative(process.cwd(), join(network.dir, "nodes", "1"))}

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

function settingsFromEnv(): Record<string, string> {
  const given = SETTINGS_FROM_ENV.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(given.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

function say(line: string): void {
  console.error(`holdfast: ${line}`);
}
