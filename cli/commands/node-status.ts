// holdfast node status: what a home node says about itself.

import { Command } from "commander";
import { requestJson } from "../../lib/client/request.ts";
import { parseServerUrl } from "../../lib/client/server.ts";
import type { Fetch } from "../../lib/fetch.ts";
import { parseNodeReport } from "../../lib/node-status.ts";
import { nodeHost } from "../node-host.ts";
import { formatNodeStatus } from "../node-report.ts";
import { printData, printJson } from "../output.ts";

const STATUS_LIMITS = { idleMs: 10_000, totalMs: 20_000 };
const WIDTH_DEFAULT = 80;
const WIDTH_MAX = 100;

interface StatusOptions {
  url: string;
  json?: boolean;
}

export function nodeStatusCommand(): Command {
  return new Command("status")
    .summary("how a home node is")
    .description("Ask a home node for its space, its domains, its traffic and its edges.")
    .requiredOption("--url <URL>", "the node, such as http://127.0.0.1:8790", parseServerUrl)
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((options: StatusOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast node status --url http://127.0.0.1:8790
  holdfast node status --url https://node.example.net
`;

async function run({ url, json }: StatusOptions): Promise<void> {
  const { status, value } = await askNode(nodeHost.fetch, url);
  if (json === true) return printJson(value);
  const width = Math.min(process.stdout.columns ?? WIDTH_DEFAULT, WIDTH_MAX);
  await printData(formatNodeStatus(status, nodeHost.now(), width));
}

/** What is shown, and the answer as it came: --json prints whatever else the node says. */
function askNode(fetch: Fetch, origin: string) {
  return requestJson(fetch, `${origin}/status`, {
    headers: { accept: "application/json" },
    limits: STATUS_LIMITS,
    parse: (value) => ({ status: parseNodeReport(value), value }),
  });
}
