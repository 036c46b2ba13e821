// The bindings that tests in workerd see.

declare namespace Cloudflare {
  interface Env extends EdgeEnv {}
}

type EdgeEnv = import("../../durable-objects/env.ts").Env;
