/** Finds the known name that a mistyped one is nearest to. */

/** Longer texts are no slips of a finger, and the distance costs their product. */
const LONGEST = 200;

/** undefined when none is near: at most a third of the letters may differ. The last part of a dotted name counts as well. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > LONGEST) return undefined;
  const wanted = name.toLowerCase();
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const plain = candidate.toLowerCase();
    // `mtu` for `com.docker.network.driver.mtu`, and the other way round.
    const tails = plain.split('.').at(-1) === wanted.split('.').at(-1) ? 1 : Number.POSITIVE_INFINITY;
    const distance = Math.min(editDistance(wanted, plain), tails);
    const limit = Math.max(1, Math.ceil(Math.max(wanted.length, plain.length) / 3));
    if (distance <= limit && distance < (best?.distance ?? Number.POSITIVE_INFINITY))
      best = { name: candidate, distance };
  }
  return best?.name;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
