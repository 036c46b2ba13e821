// Four kinds of tests: lib in Node and in workerd, the edge in workerd, what needs Node, and real processes.

import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { formatPublicKeyLine } from "./lib/openssh-key.ts";
import { operatorSigner } from "./test/edge/operator-key.ts";
import sshsig from "./test/vectors/sshsig.json" with { type: "json" };

const edge = cloudflareTest({
  wrangler: { configPath: "./wrangler.toml" },
  miniflare: {
    bindings: {
      EDGE_KEY: sshsig.privateKey,
      SHARD_DEPTH: "4",
      FAILURE_DOMAIN: "node",
      ALLOW_LOCAL_NODES: "true",
      DOH_URLS: "http://127.0.0.1:1/dns-query",
      OPERATOR_KEYS: formatPublicKeyLine((await operatorSigner()).key, "operator@example.org"),
    },
  },
});

export default defineConfig({
  test: {
    projects: [
      { test: { name: "lib in node", include: ["test/lib/**/*.test.ts"], testTimeout: 30_000 } },
      {
        plugins: [edge],
        test: { name: "lib in workerd", include: ["test/lib/**/*.test.ts"], testTimeout: 60_000 },
      },
      { plugins: [edge], test: { name: "edge", include: ["test/edge/**/*.test.ts"], testTimeout: 60_000 } },
      { test: { name: "node", include: ["test/node/**/*.test.ts"], testTimeout: 30_000 } },
      {
        test: {
          name: "end to end",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/setup.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
