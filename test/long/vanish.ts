// `npm run vanish -- --seeds 20`: a hundred home nodes keep a thousand chunks at six replicas, and thirty of them vanish at
// once; once for each seed. Prints what was lost beside what the arithmetic expects. Exits with 1 where something was lost
// that kept a holder, or is not back on its target.

import { parseArgs } from "node:util";
import { formatColumns } from "../../cli/format.ts";
import { CONTROL_SETTINGS, repairSettings } from "../e2e/chaos/settings.ts";
import { type VanishFigures, VanishNet } from "../e2e/chaos/vanish-net.ts";

const HELP = `npm run vanish -- [options]

  --seeds N, --first N   how many seeds, and the first of them (default 20, 1)
  --nodes N              home nodes, in this process (default 100)
  --gone N               of them, how many vanish at once (default 30)
  --objects N            each is a payload chunk and a Manifest (default 500)
  --replicas N           copies of each chunk (default 6)
  --timeout S            what is not back on target by then counts as short (default 300)
  --no-repair            sweeps nothing: chunks stay short, which shows that this program sees it
`;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    first: { type: "string", default: "1" },
    nodes: { type: "string", default: "100" },
    gone: { type: "string", default: "30" },
    objects: { type: "string", default: "500" },
    replicas: { type: "string", default: "6" },
    timeout: { type: "string", default: "300" },
    "no-repair": { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

// The processes end with this one, also by Ctrl-C.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
if (values.help) process.stdout.write(HELP);
else process.exitCode = (await run()) ? 0 : 1;

async function run(): Promise<boolean> {
  const all: VanishFigures[] = [];
  for (let i = 0; i < Number(values.seeds); i++) {
    const seed = String(Number(values.first) + i);
    const figures = await vanishOnce(seed);
    console.error(`seed ${seed}: ${JSON.stringify(figures)}`);
    all.push(figures);
  }
  print(all);
  return all.every(({ lost, lostAtOnce, short, unreadable }) => {
    return lost === lostAtOnce && short === 0 && unreadable === 0;
  });
}

async function vanishOnce(seed: string): Promise<VanishFigures> {
  const net = await VanishNet.start({
    seed,
    nodes: Number(values.nodes),
    replicas: Number(values.replicas),
    objects: Number(values.objects),
    settings: values["no-repair"] ? CONTROL_SETTINGS : repairSettings(0),
  });
  try {
    return await net.vanish(Number(values.gone), Number(values.timeout) * 1000);
  } finally {
    await net.stop();
  }
}

function print(all: readonly VanishFigures[]): void {
  const sum = (pick: (figures: VanishFigures) => number) => all.reduce((total, one) => total + pick(one), 0);
  const seconds = all.map(({ backAfterMs }) => backAfterMs / 1000).sort((a, b) => a - b);
  const rows = [
    ["seeds", String(all.length)],
    ["nodes, of them vanished", `${values.nodes}, ${values.gone}`],
    ["chunks, at replicas", `${sum(({ chunks }) => chunks)}, ${values.replicas}`],
    ["lost, expected", sum(({ lostExpected }) => lostExpected).toFixed(2)],
    ["lost, found", String(sum(({ lost }) => lost))],
    ["  all holders vanished", String(sum(({ lostAtOnce }) => lostAtOnce))],
    ["kept, not on target", String(sum(({ short }) => short))],
    ["kept, not to be read", String(sum(({ unreadable }) => unreadable))],
    ["seconds to target, median", (seconds[seconds.length >> 1] ?? Number.NaN).toFixed(1)],
    ["seconds to target, longest", (seconds.at(-1) ?? Number.NaN).toFixed(1)],
  ];
  process.stdout.write(formatColumns(rows, 1));
}
