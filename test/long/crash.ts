// `npm run crash -- --rounds 50 --seed 1`: kills processes at random moments of publishes and reads, and prints what came
// of it. Exits with 1, naming the seed and round, where something acknowledged is lost or a byte is wrong.

import { parseArgs } from "node:util";
import { CrashSite, drawRound, type Round } from "../e2e/crash-rounds.ts";
import { SeededRandom } from "../random.ts";

/** Objects that are read by `get` after each round, beside the newest; at the end all are. */
const GETS_BETWEEN = 2;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
    /** Only rounds of this kind, such as "publish of publisher". */
    only: { type: "string" },
  },
});
const site = await CrashSite.start();
try {
  await run();
} finally {
  await site.stop();
}

async function run(): Promise<void> {
  for (let number = 1; number <= Number(values.rounds); number++) {
    const random = new SeededRandom("crash", values.seed, number);
    const round = drawRoundOf(random);
    console.log(`seed ${values.seed}, round ${number}: ${round.victim} killed during a ${round.during}`);
    await site.run(round, random);
    await site.checkAll(random, GETS_BETWEEN);
    await site.checkCopies(1);
  }
  await site.checkAll(new SeededRandom("last"));
  await site.checkCopies();
  console.log(site.figures);
}

function drawRoundOf(random: SeededRandom): Round {
  for (;;) {
    const round = drawRound(random);
    if (values.only === undefined || values.only === `${round.during} of ${round.victim}`) return round;
  }
}
