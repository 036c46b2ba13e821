// `npm run build`: publishable JavaScript in dist/. The command, the home node and lib, compiled as they are, with a
// package.json of their own; the edge is deployed by wrangler, not installed.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = import.meta.dirname;
const DIST = join(ROOT, "dist");
const BIN = "cli/main.js";
interface PackageJson {
  name: string;
  version: string;
  description: string;
  license: string;
  dependencies: Record<string, string>;
}

function parsePackage(text: string): PackageJson {
  return JSON.parse(text) as PackageJson;
}

const { name, version, description, license, dependencies } = parsePackage(
  readFileSync(join(ROOT, "package.json"), "utf8"),
);
const manifest = {
  ...{ name, version, description, license, type: "module", bin: { holdfast: BIN } },
  engines: { node: ">=22" },
  dependencies,
};

rmSync(DIST, { recursive: true, force: true });
execFileSync(
  process.execPath,
  [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", join(ROOT, "tsconfig.build.json")],
  {
    stdio: "inherit",
  },
);
chmodSync(join(DIST, BIN), 0o755);
writeFileSync(join(DIST, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
for (const file of ["LICENSE", "README.md"]) copyFileSync(join(ROOT, file), join(DIST, file));
