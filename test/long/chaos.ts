// `npm run chaos -- --minutes 30`: a network of real processes is harmed at random for a while, and everything that it
// acknowledged is read back. Exits with 1 where something is lost, wrong or below its target.

import { parseArgs } from "node:util";
import type { Redundancy } from "../../lib/manifest.ts";
import { parseStriping } from "../../lib/redundancy/scheme.ts";
import { ChaosSite, isUnharmed } from "../e2e/chaos/chaos-site.ts";
import { AUDITS_SELDOM } from "../e2e/chaos/settings.ts";
import { formatSummary } from "../e2e/chaos/summary.ts";

const HELP = `npm run chaos -- [options]

Runs an edge, home nodes, publishers and readers on this machine, and harms them: nodes are destroyed with their disks,
paused, their files corrupted or deleted; disks are full, lines slow; the edge is killed. At the end every acknowledged object
is read back, and every chunk is counted on the nodes' disks.

  --minutes N         how long (default 5); the round that is under way then is finished
  --rounds N          at most so many rounds
  --seed TEXT         draws the same faults again (default 1)
  --nodes N           home nodes, a quarter of them without a listener (default 20)
  --redundancy N|D+P  copies of each chunk, or stripes of D chunks with P of parity (default 3)
  --kill N            nodes destroyed at once, at most as many as the redundancy stands (default 2)
  --publishers N, --readers N   at work all the time (default 2 each)
  --pause MS          longest pause of each between two objects (default 2000)
  --audits N          chunks of each node that the edge reads a day (default 17280: one in five seconds)
  --round-timeout S   a round that is not back on target by then has failed (default 300)
  --gets N            objects that the command holdfast get fetches at the end, of all (default 40)
  --no-repair         neither sweeps nor audits: objects are lost, which shows that this program sees it
  --keep              leave the folder with state and logs
  --json              figures as JSON
`;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    rounds: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    nodes: { type: "string", default: "20" },
    redundancy: { type: "string", default: "3" },
    kill: { type: "string", default: "2" },
    publishers: { type: "string", default: "2" },
    readers: { type: "string", default: "2" },
    pause: { type: "string", default: "2000" },
    audits: { type: "string", default: String(AUDITS_SELDOM) },
    "round-timeout": { type: "string", default: "300" },
    gets: { type: "string", default: "40" },
    "no-repair": { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

// The processes end with this one, also by Ctrl-C.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
if (values.help) process.stdout.write(HELP);
else process.exitCode = (await run()) ? 0 : 1;

async function run(): Promise<boolean> {
  const redundancy = parseRedundancy(values.redundancy);
  const site = await ChaosSite.start({
    seed: values.seed,
    nodes: countOf("nodes"),
    redundancy,
    kill: killOf(redundancy),
    repairs: !values["no-repair"],
    auditsPerDay: countOf("audits"),
    publishers: countOf("publishers"),
    readers: countOf("readers"),
    pauseMs: countOf("pause"),
    roundTimeoutMs: countOf("round-timeout") * 1000,
    tell: (line) => console.error(line),
  });
  try {
    const end = performance.now() + countOf("minutes") * 60_000;
    for (let round = 1; performance.now() < end && round <= countOf("rounds"); round++) await site.run(round);
    const figures = await site.finish({ gets: countOf("gets") });
    process.stdout.write(values.json ? `${JSON.stringify(figures, null, 2)}\n` : formatSummary(figures));
    return isUnharmed(figures);
  } finally {
    await site.stop(values.keep);
  }
}

/** More than the redundancy stands are lost whatever is done. */
function killOf(redundancy: Redundancy): number {
  const max = "replicas" in redundancy ? redundancy.replicas - 1 : redundancy.parity;
  if (countOf("kill") <= max) return countOf("kill");
  console.error(`--kill is at most ${max} with this redundancy`);
  process.exit(2);
}

type CountOption =
  | "minutes"
  | "rounds"
  | "nodes"
  | "redundancy"
  | "kill"
  | "publishers"
  | "readers"
  | "pause"
  | "audits"
  | "round-timeout"
  | "gets";

function parseRedundancy(text: string): Redundancy {
  const replicas = Number(text);
  if (Number.isInteger(replicas) && replicas > 0) return { replicas };
  return parseStriping(text);
}

function countOf(option: CountOption): number {
  const count = Number(values[option]);
  if (Number.isFinite(count) && count >= 0) return count;
  console.error(`--${option} must be a number\n\n${HELP}`);
  process.exit(2);
}
