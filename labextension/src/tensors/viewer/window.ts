// Which part of an array is shown, and what is asked of the server for it. Pure.

/** An axis that is shown: entry i stands for start + i * step of the array. */
export interface Span {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** An entry an axis of the array; a number is the one index that is left of it. */
export type Window = readonly (Span | number)[];

/** An index an axis that is shown, or null for all of it. */
export type Slice = readonly (number | null)[];

export interface ValueRequest {
  readonly select: string;
  readonly stride: string;
  /** Of the answer. */
  readonly shape: readonly number[];
}

export class SelectionError extends Error {}

export function wholeOf(shape: readonly number[]): Window {
  return shape.map(count => ({ start: 0, step: 1, count }));
}

/** The spans that are shown, with the array's axis of each. */
export function shownOf(
  window: Window
): readonly (Span & { readonly axis: number })[] {
  return window.flatMap((span, axis) =>
    typeof span === 'number' ? [] : [{ ...span, axis }]
  );
}

/** Read the viewer's own slices: '2,1,:,:'; undefined is all of the array. */
export function sliceOf(selection: string | undefined, count: number): Slice {
  const parts = selection?.split(',') ?? [];
  return Array.from({ length: count }, (_, axis) => {
    const part = parts[axis] ?? ':';
    return part === ':' ? null : Number(part);
  });
}

/**
 * Read a selection by index, as `--select` has it: '0:100, :, ::2', '-1, ...'.
 *
 * @throws SelectionError - With the reason in words.
 */
export function windowOf(select: string, shape: readonly number[]): Window {
  const terms = expand(termsOf(select), shape.length);
  return shape.map((count, axis) => readTerm(terms[axis] ?? ':', count, axis));
}

/** The terms of a selection, without the spaces around them. */
export function termsOf(select: string): readonly string[] {
  const text = select.trim();
  return text === '' ? [] : text.split(',').map(term => term.trim());
}

/** Whether a selection names dimensions: 'time=2020-01:2020-03'. */
export function isByLabel(select: string): boolean {
  return select.includes('=');
}

/** The window that a slice leaves of a window. */
export function seenOf(
  window: Window,
  slice: Slice,
  flips: readonly boolean[]
): Window {
  let at = -1;
  return window.map(span => {
    if (typeof span === 'number') {
      return span;
    }
    at += 1;
    const index = slice[at] ?? null;
    return index === null ? span : indexOf(span, index, flips[at] ?? false);
  });
}

/** What to ask for a slice of the window. */
export function requestOf(
  window: Window,
  slice: Slice,
  flips: readonly boolean[]
): ValueRequest {
  const shape: number[] = [];
  const steps: number[] = [];
  const select = seenOf(window, slice, flips).map(span => {
    if (typeof span === 'number') {
      return String(span);
    }
    shape.push(span.count);
    steps.push(span.step);
    return rangeOf(span);
  });
  const stride = steps.every(step => step === 1) ? '' : steps.join(',');
  return { select: select.join(', '), stride, shape };
}

/** The array's index of an entry that is shown. */
export function indexOf(span: Span, entry: number, flipped: boolean): number {
  const i = flipped ? span.count - 1 - entry : entry;
  return span.start + i * span.step;
}

/** The window with every so-manieth entry of the axes that a slice leaves. */
export function thinned(
  window: Window,
  slice: Slice,
  stride: readonly number[]
): Window {
  let [shown, left] = [-1, -1];
  return window.map(span => {
    if (typeof span === 'number') {
      return span;
    }
    shown += 1;
    if ((slice[shown] ?? null) !== null) {
      return span;
    }
    left += 1;
    const by = Math.max(1, stride[left] ?? 1);
    const count = Math.ceil(span.count / by);
    return { start: span.start, step: span.step * by, count };
  });
}

/** The slice of the window as numpy writes it, a term an axis of the array. */
export function indexTerms(
  window: Window,
  slice: Slice,
  flips: readonly boolean[],
  shape: readonly number[]
): readonly string[] {
  return seenOf(window, slice, flips).map((span, axis) => {
    if (typeof span === 'number') {
      return String(span);
    }
    const { start, step, count } = span;
    const isAll = start === 0 && start + count * step >= (shape[axis] ?? 0);
    const range = isAll ? ':' : rangeOf(span);
    return step === 1 ? range : `${range}:${step}`;
  });
}

/** Whether the window is all of the array. */
export function isWhole(window: Window, shape: readonly number[]): boolean {
  return window.every(
    (span, axis) =>
      typeof span !== 'number' && span.step === 1 && span.count === shape[axis]
  );
}

function rangeOf({ start, step, count }: Span): string {
  return `${start}:${count === 0 ? start : start + (count - 1) * step + 1}`;
}

function expand(terms: readonly string[], axes: number): readonly string[] {
  const dots = terms.indexOf('...');
  if (dots !== terms.lastIndexOf('...')) {
    throw new SelectionError('“...” stands once at most.');
  }
  const given = dots < 0 ? terms.length : terms.length - 1;
  if (given > axes) {
    throw new SelectionError(
      `${given} terms for ${axes} axes: leave some of them out.`
    );
  }
  const rest = Array.from({ length: axes - given }, () => ':');
  return dots < 0
    ? [...terms, ...rest]
    : [...terms.slice(0, dots), ...rest, ...terms.slice(dots + 1)];
}

const WHOLE_NUMBER = /^[+-]?\d+$/;

function readTerm(term: string, count: number, axis: number): Span | number {
  if (WHOLE_NUMBER.test(term)) {
    const index = Number(term) < 0 ? count + Number(term) : Number(term);
    if (index < 0 || index >= count) {
      throw new SelectionError(
        `${term} is outside of axis ${axis}, which has ${count} entries.`
      );
    }
    return index;
  }
  const parts = term.split(':').map(part => part.trim());
  const isRange = parts.length === 2 || parts.length === 3;
  if (!isRange || !parts.every(one => one === '' || WHOLE_NUMBER.test(one))) {
    throw new SelectionError(
      `“${term}” is no index and no range: write 3, 0:100, ::4 or time=2020-01.`
    );
  }
  return readRange(parts, count, term);
}

function readRange(
  [from = '', to = '', by = '']: readonly string[],
  count: number,
  term: string
): Span {
  const step = by === '' ? 1 : Number(by);
  if (step < 1) {
    throw new SelectionError(`“${term}”: the step has to be 1 or more.`);
  }
  const start = within(from === '' ? 0 : Number(from), count);
  const stop = within(to === '' ? count : Number(to), count);
  const length = Math.ceil((stop - start) / step);
  if (length <= 0) {
    throw new SelectionError(`“${term}” chooses nothing of ${count} entries.`);
  }
  return { start, step, count: length };
}

function within(index: number, count: number): number {
  return Math.min(count, Math.max(0, index < 0 ? count + index : index));
}
