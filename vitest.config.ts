// Kinds of tests: lib in Node and in workerd, the edge in workerd, what needs Node, and real processes.

import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { formatPublicKeyLine } from "./lib/openssh-key.ts";
import { answerDns } from "./test/edge/dns-answers.ts";
import { operatorSigner } from "./test/edge/operator-key.ts";
import { PEER_ORIGINS } from "./test/edge/peer-script.ts";
import { answerForPeers } from "./test/edge/scripted-peers.ts";
import sshsig from "./test/vectors/sshsig.json" with { type: "json" };

const bindings = {
  EDGE_KEY: sshsig.privateKey,
  SHARD_DEPTH: "4",
  FAILURE_DOMAIN: "node",
  ALLOW_LOCAL_NODES: "true",
  DOH_URLS: "http://127.0.0.1:1/dns-query",
  INDEX_CHUNKS: process.env.INDEX_CHUNKS ?? "5000",
  OPERATOR_KEYS: formatPublicKeyLine((await operatorSigner()).key, "operator@example.org"),
};
const wrangler = { configPath: "./wrangler.toml" };
const edge = cloudflareTest({ wrangler, miniflare: { bindings: { ...bindings, RATE_LIMITS: "off" } } });
const edgeWithDns = cloudflareTest({
  wrangler,
  miniflare: { bindings: { ...bindings, RATE_LIMITS: "off" }, outboundService: answerDns },
});
const tightly = (namespace_id: string, limit: number, period: 10 | 60) => ({
  namespace_id,
  simple: { limit, period },
});
const tightEdge = cloudflareTest({
  wrangler,
  miniflare: {
    bindings,
    outboundService: answerDns,
    ratelimits: {
      READS_LIMIT: tightly("1", 5, 10),
      LOOKUPS_LIMIT: tightly("2", 4, 10),
      WRITES_LIMIT: tightly("3", 3, 10),
      REGISTRATIONS_LIMIT: tightly("4", 2, 60),
      DNS_LIMIT: tightly("5", 2, 60),
      DOMAIN_WRITES_LIMIT: tightly("6", 2, 60),
    },
  },
});
const TIGHT = "test/edge/rate-limits.test.ts";
const WITH_DNS = "test/edge/rebuild*.test.ts";
const peeredEdge = cloudflareTest({
  wrangler,
  miniflare: {
    bindings: { ...bindings, RATE_LIMITS: "off", PEER_EDGES: PEER_ORIGINS.join(" ") },
    outboundService: answerForPeers,
  },
});
const PEERED = "test/edge/peer*.test.ts";
const growingEdge = cloudflareTest({
  wrangler,
  miniflare: { bindings: { ...bindings, RATE_LIMITS: "off", SPLIT_ROWS: "100" } },
});
const GROWING = "test/edge/split-size.test.ts";

const atEdge = { testTimeout: 60_000, setupFiles: ["test/edge/close-nodes.ts"] };

export default defineConfig({
  test: {
    projects: [
      { test: { name: "lib in node", include: ["test/lib/**/*.test.ts"], testTimeout: 30_000 } },
      {
        plugins: [edge],
        test: { name: "lib in workerd", include: ["test/lib/**/*.test.ts"], testTimeout: 60_000 },
      },
      {
        plugins: [edge],
        test: {
          ...{ name: "edge", include: ["test/edge/**/*.test.ts"] },
          ...{ exclude: [TIGHT, WITH_DNS, PEERED, GROWING], ...atEdge },
        },
      },
      {
        plugins: [edgeWithDns],
        test: { name: "edge with DNS", include: [WITH_DNS], ...atEdge },
      },
      {
        plugins: [growingEdge],
        test: { name: "edge that grows", include: [GROWING], ...atEdge },
      },
      {
        plugins: [tightEdge],
        test: { name: "edge with tight limits", include: [TIGHT], ...atEdge },
      },
      {
        plugins: [peeredEdge],
        // The peers are one for all files, and do as the test says that runs.
        test: {
          name: "edge with peers",
          include: [PEERED],
          ...atEdge,
          fileParallelism: false,
        },
      },
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
