// holdfast node status: what a home node says about itself.

import { Command } from "commander";
import * as v from "valibot";
import { plainText, requestJson } from "../../lib/client/request.ts";
import { parseServerUrl } from "../../lib/client/server.ts";
import { countSchema, nodeIdSchema, parseWith, timeSchema } from "../../lib/schema.ts";
import { formatAge, formatSize, formatTable, plural } from "../format.ts";
import { nodeHost } from "../node-host.ts";
import { printData, printJson } from "../output.ts";

const STATUS_LIMITS = { idleMs: 10_000, totalMs: 20_000 };

const trafficSchema = v.object({ servedBytes: countSchema, storedBytes: countSchema });
/** The fields shown; --json prints whatever else the node says. */
const statusSchema = v.looseObject({
  kind: v.literal("home-node"),
  id: nodeIdSchema,
  software: v.string(),
  url: v.nullable(v.string()),
  chunks: countSchema,
  versions: countSchema,
  usedBytes: countSchema,
  freeBytes: countSchema,
  onlineSince: timeSchema,
  today: trafficSchema,
  edges: v.array(
    v.looseObject({ url: v.string(), state: v.string(), direct: v.boolean(), reason: v.string() }),
  ),
});
type Status = v.InferOutput<typeof statusSchema>;

interface StatusOptions {
  url: string;
  json?: boolean;
}

export function nodeStatusCommand(): Command {
  return new Command("status")
    .summary("how a home node is")
    .description("Ask a home node for its room, its traffic and its edges.")
    .requiredOption("--url <URL>", "the node, such as http://127.0.0.1:8790", parseServerUrl)
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((options: StatusOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast node status --url http://127.0.0.1:8790
  holdfast node status --url https://node.example.net --json | jq .freeBytes
`;

async function run({ url, json }: StatusOptions): Promise<void> {
  const status = await requestJson(nodeHost.fetch, `${url}/status`, {
    headers: { accept: "application/json" },
    limits: STATUS_LIMITS,
    parse: (value) => parseWith(statusSchema, value, "bad-answer"),
  });
  if (json === true) return printJson(status);
  await printData(formatTable(rowsOf(status)));
}

function rowsOf(status: Status): string[][] {
  const { today, edges } = status;
  return [
    ["home node", `${status.id} (${plainText(status.software)})`],
    ["url", plainText(status.url ?? "through its edges only")],
    ["online", `for ${formatAge(nodeHost.now() - Date.parse(status.onlineSince))}`],
    ["keeps", `${plural(status.chunks, "chunk")}, ${plural(status.versions, "Version")}`],
    ["room", `${formatSize(status.usedBytes)} used, ${formatSize(status.freeBytes)} free`],
    ["today", `${formatSize(today.servedBytes)} served, ${formatSize(today.storedBytes)} stored`],
    ...edges.map(({ url, state, direct, reason }) => [
      "edge",
      plainText(
        `${url} ${state}${state === "registered" ? (direct ? ", direct" : `, relayed: ${reason}`) : ""}`,
      ),
    ]),
  ];
}
