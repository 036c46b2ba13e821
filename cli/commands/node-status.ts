// holdfast node status: what a home node says about itself. All of it where the node's folder is at hand, by the socket in
// it; what strangers may know from anywhere else.

import { Command, Option } from "commander";
import { requestJson } from "../../lib/client/request.ts";
import { parseServerUrl } from "../../lib/client/server.ts";
import type { Fetch } from "../../lib/fetch.ts";
import { isLocal, parseNodeReport } from "../../lib/node-status.ts";
import { DEFAULT_NODE_DIR, SOCKET_ORIGIN, withNodeIn } from "../node-dir.ts";
import { nodeHost } from "../node-host.ts";
import { formatNodeStatus } from "../node-report.ts";
import { printData, printJson, say } from "../output.ts";

const STATUS_LIMITS = { idleMs: 10_000, totalMs: 20_000 };
const WIDTH_DEFAULT = 80;
const WIDTH_MAX = 100;

interface StatusOptions {
  dir: string;
  url?: string;
  json?: boolean;
}

export function nodeStatusCommand(): Command {
  return new Command("status")
    .summary("how a home node is")
    .description("Ask a home node for its space, its domains, its traffic and its edges.")
    .option("--dir <DIR>", "the folder of a node on this machine", DEFAULT_NODE_DIR)
    .addOption(
      new Option("--url <URL>", "a node elsewhere: what it tells strangers")
        .argParser(parseServerUrl)
        .conflicts("dir"),
    )
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((options: StatusOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast node status
  holdfast node status --json | jq .traffic.today
  holdfast node status --url https://node.example.net
`;

async function run({ dir, url, json }: StatusOptions): Promise<void> {
  const { status, value } =
    url === undefined
      ? await withNodeIn(dir, (fetch) => askNode(fetch, SOCKET_ORIGIN))
      : await askNode(nodeHost.fetch, url);
  if (json === true) return printJson(value);
  const width = Math.min(process.stdout.columns ?? WIDTH_DEFAULT, WIDTH_MAX);
  await printData(formatNodeStatus(status, nodeHost.now(), width));
  if (!isLocal(status))
    say("holdfast: that is what the node tells strangers; on its machine, use --dir for all of it");
}

/** What is shown, and the answer as it came: --json prints whatever else the node says. */
function askNode(fetch: Fetch, origin: string) {
  return requestJson(fetch, `${origin}/status`, {
    headers: { accept: "application/json" },
    limits: STATUS_LIMITS,
    parse: (value) => ({ status: parseNodeReport(value), value }),
  });
}
