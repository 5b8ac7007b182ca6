// Globs over dotted names, by the rules of Python's fnmatch, which is what
// `--keys` goes by: case counts, and `*` passes over dots and slashes. Pure.

/** Characters at which IPython or Python would end a magic's line. */
const LINE_BREAKS = /[\0\n\r\v\f\x1c-\x1f\x85\u2028\u2029]/g;

const SPECIAL = /[\\^$.|?*+(){}[\]/-]/g;

export function isGlob(text: string): boolean {
  return /[*?[]/.test(text);
}

/** The glob that matches this name; a line break, which no line holds, is a `?`. */
export function exactGlob(name: string): string {
  return name.replace(/[*?[]/g, '[$&]').replace(LINE_BREAKS, '?');
}

/** A glob as the pattern of a whole name. */
export function globPattern(glob: string): RegExp {
  let source = '';
  for (let at = 0; at < glob.length; at += 1) {
    const char = glob[at] ?? '';
    const end = char === '[' ? endOfSet(glob, at) : -1;
    if (end > 0) {
      source += setPattern(glob.slice(at + 1, end));
      at = end;
    } else {
      source +=
        char === '*'
          ? '.*'
          : char === '?'
            ? '.'
            : char.replace(SPECIAL, '\\$&');
    }
  }
  return new RegExp(`^${source}$`, 's');
}

/** Where the set that begins here ends; -1: it never does, and is a bracket. */
function endOfSet(glob: string, at: number): number {
  // A bracket right at the beginning belongs to the set.
  const first = glob[at + 1] === '!' ? at + 2 : at + 1;
  return glob.indexOf(']', first + 1);
}

function setPattern(inner: string): string {
  const isNot = inner.startsWith('!');
  const chars = (isNot ? inner.slice(1) : inner).replace(
    /[\\\]^[&~|]/g,
    '\\$&'
  );
  try {
    return new RegExp(`[${isNot ? '^' : ''}${chars}]`, 's').source;
  } catch {
    // A range that runs backwards holds nothing, as in Python.
    return isNot ? '.' : '(?!)';
  }
}
