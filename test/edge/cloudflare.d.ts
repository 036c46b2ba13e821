// The bindings that tests in workerd see.

declare namespace Cloudflare {
  interface Env extends EdgeEnv {
    /** For index-cost.test.ts: how many chunks a shard is filled with. */
    INDEX_CHUNKS: string;
  }
}

type EdgeEnv = import("../../durable-objects/env.ts").Env;
