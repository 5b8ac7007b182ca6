// What a click writes into the notebook. Pure; the Python tokenizer reads it
// back, and both sides test against tests/quoting.json.

const KEYWORDS: ReadonlySet<string> = new Set(
  (
    'False None True and as assert async await break class continue def del ' +
    'elif else except finally for from global if import in is lambda nonlocal ' +
    'not or pass raise return try while with yield'
  ).split(' ')
);

/** Characters at which IPython or Python would end the line. */
const LINE_BREAKS = /[\0\n\r\v\f\x1c-\x1f\x85\u2028\u2029]/;

const LOAD_EXT = /^\s*%load_ext\s+jupyter_gpu_ext\b/m;

export const LOAD_EXT_LINE = '%load_ext jupyter_gpu_ext';

export function nameUrl(connection: string, key: string): string {
  return `${connection}://${key}`;
}

/** Whether a magic's single line can hold this name at all. */
export function fitsOnLine(url: string): boolean {
  return !LINE_BREAKS.test(url);
}

/** Write a URL, or another value, as one token of a magic line. */
export function quote(url: string): string {
  const literal = url
    .replace(/[{}]/g, '$&$&')
    .replace(/\$(?=[A-Za-z_])/g, '$$$$');
  return /^$|[\s"'\\]|^[-#]|;$/u.test(literal)
    ? `"${literal.replace(/[\\"]/g, '\\$&')}"`
    : literal;
}

/** A Python name from a key's stem: 'a b#c.pt' becomes `a_b_c`. */
export function variableName(key: string): string {
  const last = key.replace(/\/+$/, '').split('/').pop() ?? '';
  const stem = last.replace(/(?<=.)\.[^.]*$/u, '').normalize('NFKC');
  const name = stem.replace(/[^\p{XID_Continue}]+/gu, '_');
  if (/^_*$/u.test(name)) {
    return 'value';
  }
  if (/^_?\d+$/.test(name)) {
    // `_1` is where IPython keeps the first output.
    return `_${name.replace(/^_/, '')}_`;
  }
  if (KEYWORDS.has(name)) {
    return `${name}_`;
  }
  return /^[\p{XID_Start}_]/u.test(name) ? name : `_${name}`;
}

export function loadLine(connection: string, key: string): string {
  return `%load_blob ${quote(nameUrl(connection, key))} -o ${variableName(key)}`;
}

/** The code for a new cell, below cells with these sources. */
export function loadSource(
  connection: string,
  key: string,
  sourcesAbove: readonly string[]
): string {
  const line = loadLine(connection, key);
  return hasLoadExt(sourcesAbove) ? line : `${LOAD_EXT_LINE}\n${line}`;
}

export function hasLoadExt(sources: readonly string[]): boolean {
  return sources.some(source => LOAD_EXT.test(source));
}
