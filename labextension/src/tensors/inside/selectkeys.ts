// Selected tensors as the fewest `--keys` that choose these and no others. Pure.

import { exactGlob, globPattern } from '../glob';

/** Checking a glob against every name that is not selected takes its time. */
const CHECKED_GLOBS = 24;

/** What stands between the parts of a name, and belongs to the part before. */
const BOUNDARY = /[./]/g;

/**
 * The globs that choose exactly the selected names.
 *
 * @param selected - Indices into `names`.
 * @param isComplete - Whether these are all names that the file has: of others
 * nobody knows what a glob would choose, so that each name stands for itself.
 * @returns Empty for all names.
 */
export function keysFor(
  names: readonly string[],
  selected: ReadonlySet<number>,
  isComplete: boolean
): readonly string[] {
  const inside = names.filter((_, index) => selected.has(index));
  if (!isComplete) {
    return inside.map(name => positive(exactGlob(name)));
  }
  const outside = names.filter((_, index) => !selected.has(index));
  if (outside.length === 0) {
    return [];
  }
  const keys = cover(inside, outside).map(positive);
  if (outside.length > inside.length) {
    return keys;
  }
  const others = cover(outside, inside).map(glob => `!${glob}`);
  return others.length < keys.length ? others : keys;
}

/** `!` at the beginning would exclude. */
function positive(glob: string): string {
  return glob.startsWith('!') ? `?${glob.slice(1)}` : glob;
}

/** Few globs that match all of `inside` and nothing of `outside`. */
function cover(
  inside: readonly string[],
  outside: readonly string[]
): readonly string[] {
  const groups = [
    ...byPrefix(inside, outside),
    ...bySuffix(inside, outside),
    ...byNumbers(inside, outside)
  ].sort(([, one], [, other]) => other.length - one.length);
  const covered = new Set<number>();
  const found: [number, string][] = [];
  for (const [glob, members] of groups) {
    const fresh = members.filter(index => !covered.has(index));
    if (fresh.length > 1) {
      fresh.forEach(index => covered.add(index));
      found.push([fresh[0] ?? 0, glob]);
    }
  }
  inside.forEach((name, index) => {
    if (!covered.has(index)) {
      found.push([index, exactGlob(name)]);
    }
  });
  return found.sort(([one], [other]) => one - other).map(([, glob]) => glob);
}

type Groups = Map<string, number[]>;

/** Names by the shortest beginning that no other name has: 'model.layers.0.*'. */
function byPrefix(
  inside: readonly string[],
  outside: readonly string[]
): Groups {
  const others = new Set(outside.flatMap(prefixes));
  return grouped(inside, name => {
    const own = prefixes(name).find(prefix => !others.has(prefix));
    return own === undefined ? null : `${exactGlob(own)}*`;
  });
}

/** Names by the shortest ending that no other name has: '*.weight'. */
function bySuffix(
  inside: readonly string[],
  outside: readonly string[]
): Groups {
  const others = new Set(outside.flatMap(suffixes));
  return grouped(inside, name => {
    const own = suffixes(name).find(suffix => !others.has(suffix));
    return own === undefined ? null : `*${exactGlob(own)}`;
  });
}

/** Names that differ in numbers only: 'layers.*.attn.q_proj.weight'. */
function byNumbers(
  inside: readonly string[],
  outside: readonly string[]
): [string, number[]][] {
  const groups = grouped(inside, name => {
    const glob = exactGlob(name).replace(/(?<=^|[./])\d+(?=[./]|$)/g, '*');
    return glob.includes('*') ? glob : null;
  });
  return [...groups]
    .filter(([, members]) => members.length > 1)
    .sort(([, one], [, other]) => other.length - one.length)
    .slice(0, CHECKED_GLOBS)
    .filter(([glob]) => {
      const pattern = globPattern(glob);
      return !outside.some(name => pattern.test(name));
    });
}

function grouped(
  names: readonly string[],
  globOf: (name: string) => string | null
): Groups {
  const groups: Groups = new Map();
  names.forEach((name, index) => {
    const glob = globOf(name);
    if (glob !== null) {
      const members = groups.get(glob) ?? [];
      members.push(index);
      groups.set(glob, members);
    }
  });
  return groups;
}

/** 'a.b.c' begins with 'a.' and 'a.b.'. */
function prefixes(name: string): string[] {
  return boundaries(name).map(at => name.slice(0, at + 1));
}

/** 'a.b.c' ends with '.c' and '.b.c'. */
function suffixes(name: string): string[] {
  return boundaries(name)
    .map(at => name.slice(at))
    .reverse();
}

function boundaries(name: string): number[] {
  return [...name.matchAll(BOUNDARY)].map(({ index }) => index);
}
