// `npm run bad-holders -- --seeds 200`: reads a net of 100 home nodes, 20 of them bad, once for each seed, and prints
// what came of it. Exits with 1 where a wrong byte came out or too few reads succeeded.

import { parseArgs } from "node:util";
import { addUp, type Figures, readUnderFaults } from "../node/bad-holder-reads.ts";
import { Cleanup } from "../node/home-node-fixture.ts";
import { Testnet } from "../node/testnet.ts";
import { SeededRandom } from "../random.ts";

const SUCCESS_SHARE_MIN = 0.999;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    first: { type: "string", default: "1" },
    nodes: { type: "string", default: "100" },
    bad: { type: "string", default: "20" },
    objects: { type: "string", default: "8" },
    chunks: { type: "string", default: "25" },
  },
});
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => Number(values.first) + i);
const cleanup = new Cleanup();
try {
  process.exitCode = (await run()) ? 0 : 1;
} finally {
  await cleanup.run();
}

async function run(): Promise<boolean> {
  const net = await Testnet.start(Number(values.nodes), cleanup);
  const random = new SeededRandom("objects");
  for (let i = 0; i < Number(values.objects); i++) await net.store(Number(values.chunks), random);
  const bySeed = await readUnderFaults(net, seeds, Number(values.bad));
  const sum = addUp(bySeed.values());
  print(sum);
  const wrong = [...bySeed].filter(([, figures]) => figures.corruptBytes > 0 || figures.failedInVain > 0);
  for (const [seed] of wrong) console.log(`look at: --first ${seed} --seeds 1`);
  return sum.corruptBytes === 0 && sum.succeeded / sum.reads >= SUCCESS_SHARE_MIN;
}

function print(sum: Figures): void {
  const failed = sum.reads - sum.succeeded;
  const passedOver = [...sum.passedOver.values()].flatMap((codes) => [...codes.values()]);
  const attempts = sum.reads + sum.falseAlarms + passedOver.reduce((total, times) => total + times, 0);
  console.log(`seeds ${values.seeds} from ${values.first}; ${values.bad} of ${values.nodes} nodes bad`);
  console.log(`chunk reads          ${sum.reads}`);
  console.log(`  given              ${sum.succeeded} (${((100 * sum.succeeded) / sum.reads).toFixed(4)} %)`);
  console.log(`  failed             ${failed}, of them with an honest holder ${sum.failedInVain}`);
  console.log(`  attempts per read  ${(attempts / sum.reads).toFixed(3)}, false alarms ${sum.falseAlarms}`);
  console.log(`objects              ${sum.complete} complete, ${sum.ended} ended with an error`);
  console.log(`wrong bytes let out  ${sum.corruptBytes}`);
  for (const [way, codes] of [...sum.passedOver].sort()) {
    const found = [...codes].map(([code, times]) => `${code} ${times}`).join(", ");
    console.log(`  ${way.padEnd(40)} ${found}`);
  }
}
