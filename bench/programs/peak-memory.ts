// Loaded before a command with --import: when the process ends, its status as Linux tells it goes to a file, the peak
// of its memory in it.

import { readFileSync, writeFileSync } from "node:fs";

const file = process.env.HOLDFAST_BENCH_STATUS;
if (file !== undefined) {
  process.on("exit", () => writeFileSync(file, readFileSync("/proc/self/status")));
}
