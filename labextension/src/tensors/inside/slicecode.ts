// A selection as it is typed, in xarray's words. Pure; what it means is the
// server's to say.

import { variableName } from '../../storage/insert';
import { pythonLiteral } from '../../storage/readcode';

/**
 * What stands behind an array of xarray: '[0:100, :]' or
 * '.sel(time=slice("2020-01", "2020-03"))'; '' for all of it.
 *
 * @param isDate - Whether the labels of a dimension are dates.
 */
export function indexingOf(
  select: string,
  isDate: (dimension: string) => boolean
): string {
  const parts = partsOf(select);
  if (parts.length === 0) {
    return '';
  }
  if (!select.includes('=')) {
    return `[${parts.join(', ')}]`;
  }
  const pairs = parts.map(part => {
    const at = part.indexOf('=');
    return [part.slice(0, at).trim(), part.slice(at + 1).trim()] as const;
  });
  const isPlain = pairs.every(([name]) => variableName(name) === name);
  const written = pairs.map(([name, text]) => {
    const label = isDate(name) ? dateOf(text) : numberOf(text);
    return isPlain ? `${name}=${label}` : `${pythonLiteral(name)}: ${label}`;
  });
  const all = written.join(', ');
  return isPlain ? `.sel(${all})` : `.sel({${all}})`;
}

/** The dimensions that a selection by label names. */
export function namedIn(select: string): readonly string[] {
  return partsOf(select).flatMap(part => {
    const at = part.indexOf('=');
    return at < 0 ? [] : [part.slice(0, at).trim()];
  });
}

/** The terms of a selection, one by one. */
export function partsOf(select: string): string[] {
  const text = select.trim().replace(/,$/, '');
  return text === '' ? [] : text.split(',').map(part => part.trim());
}

/** '60:30' is slice(60, 30). */
function numberOf(text: string): string {
  return rangeOf(text.split(':').map(end => end.trim()));
}

/** '2020-01:' is slice("2020-01", None); hours hold colons, too. */
function dateOf(text: string): string {
  const [start = '', stop, step] = endsOf(text);
  const ends = [start, stop].filter(end => end !== undefined);
  const written = ends.map(end => (end === '' ? '' : pythonLiteral(end)));
  return rangeOf(step === undefined ? written : [...written, step]);
}

function rangeOf(ends: readonly string[]): string {
  return ends.length === 1
    ? (ends[0] ?? '')
    : `slice(${ends.map(end => end || 'None').join(', ')})`;
}

const DATE = /\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?)?)?/y;

/** The ends of a range and its step, at the colons that are no clock's. */
export function endsOf(text: string): string[] {
  const ends = [''];
  for (let at = 0; at < text.length;) {
    DATE.lastIndex = at;
    const [date = ''] =
      ends.at(-1)?.trim() === '' ? (DATE.exec(text) ?? []) : [];
    if (text[at] === ':') {
      ends.push('');
    } else {
      ends[ends.length - 1] += date || (text[at] ?? '');
    }
    at += Math.max(1, date.length);
  }
  return ends.map(end => end.trim());
}
