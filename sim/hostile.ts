// What hostile nodes answer. They know of each other, and behave well where it gets them into others' tables: they answer
// who asks whether they are there, and introduce themselves.

import type { Hash } from "../lib/hash.ts";
import type { Network } from "./network.ts";
import type { Referral, SimNode } from "./node.ts";

/** What a node answers, each after its kind; null: nothing. */
export function answerOf(network: Network, node: SimNode, hash: Hash): Referral | null {
  switch (network.population.behaviourOf(node.contact.index)) {
    case "honest":
      return node.refer(hash);
    case "is silent":
      return null;
    case "misleads":
      return { holders: [], closer: network.friendsNear(hash) };
    case "invents holders":
      return { holders: network.friendsNear(hash), closer: network.friendsNear(hash) };
  }
}
