// Which failure domain keeps which position of a stripe. One that keeps two chunks of a stripe stands for one of them only:
// so many positions can be lost at once. Whether all positions have a failure domain of their own is a bipartite matching.

/** For each position the choice that is its own, as many as can have one, or null. `choices` of a position come best first. */
export function matchPositions(choices: readonly Iterable<string>[]): (string | null)[] {
  const lists = choices.map((list) => [...list]);
  const owners = new Map<string, number>();
  lists.forEach((_, position) => {
    assign(position, lists, owners, new Set());
  });
  const matched = lists.map((): string | null => null);
  for (const [choice, position] of owners) matched[position] = choice;
  return matched;
}

/** Finds a choice for the position; whoever has it takes another, if it can. The depth is that of a stripe's positions. */
function assign(
  position: number,
  lists: readonly string[][],
  owners: Map<string, number>,
  seen: Set<string>,
): boolean {
  for (const choice of lists[position] ?? []) {
    if (seen.has(choice)) continue;
    seen.add(choice);
    const owner = owners.get(choice);
    if (owner === undefined || assign(owner, lists, owners, seen)) {
      owners.set(choice, position);
      return true;
    }
  }
  return false;
}
