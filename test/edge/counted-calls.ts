// The bindings of the edge, with a counter in front of each Durable Object: the calls go to the real ones.

import type { Env } from "../../durable-objects/env.ts";

/** `calls` has the method of each call that is made through `counted`. */
export function countCalls(env: Env): { counted: Env; calls: string[] } {
  const calls: string[] = [];
  const counted = {
    ...env,
    PARTITION_SHARD: countNamespace(env.PARTITION_SHARD, calls),
    NODE_LINK: countNamespace(env.NODE_LINK, calls),
  };
  return { counted, calls };
}

function countNamespace<T extends { getByName(name: string): object }>(namespace: T, calls: string[]): T {
  return new Proxy(namespace, {
    get: (target, key) =>
      key === "getByName"
        ? (name: string) => countStub(target.getByName(name), calls)
        : Reflect.get(target, key),
  });
}

function countStub(stub: object, calls: string[]): object {
  return new Proxy(stub, {
    get: (target, key) => {
      const member: unknown = Reflect.get(target, key);
      if (typeof member !== "function" || typeof key !== "string") return member;
      return (...args: unknown[]) => {
        calls.push(key);
        // Not member.apply: of a stub every property is a method of the object.
        return Reflect.apply(member, target, args);
      };
    },
  });
}
