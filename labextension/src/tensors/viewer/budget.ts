// How much is read without a question, and what is offered instead. Pure.

/** What one answer may weigh before a person is asked. */
export const BUDGET_BYTES = 64 * 2 ** 20;

/** The most that the server sends in one answer. */
export const MOST_BYTES = 512 * 2 ** 20;

/** Beyond this many entries a side graphics hardware draws one flat colour. */
export const MOST_SIDE = 8192;

export function bytesOf(shape: readonly number[], itemBytes: number): number {
  return shape.reduce((product, count) => product * count, itemBytes);
}

/** Whether a picture of this shape is too long on one side to be drawn. */
export function isTooLong(shape: readonly number[]): boolean {
  return shape.length >= 2 && shape.some(count => count > MOST_SIDE);
}

/** Steps an axis by which an overview can be drawn and fits the budget. */
export function overviewSteps(
  shape: readonly number[],
  itemBytes: number,
  budget = BUDGET_BYTES
): readonly number[] {
  const steps = shape.map(count => Math.max(1, Math.ceil(count / MOST_SIDE)));
  const counts = () =>
    shape.map((count, axis) => Math.ceil(count / (steps[axis] ?? 1)));
  while (bytesOf(counts(), itemBytes) > budget) {
    const left = counts();
    const longest = left.indexOf(Math.max(...left));
    if ((left[longest] ?? 1) <= 1) {
      break;
    }
    steps[longest] = (steps[longest] ?? 1) + 1;
  }
  return steps;
}

/** The bytes of what every so-manieth entry leaves. */
export function strideBytes(
  shape: readonly number[],
  stride: readonly number[],
  itemBytes: number
): number {
  const counts = shape.map((count, axis) =>
    Math.ceil(count / (stride[axis] ?? 1))
  );
  return bytesOf(counts, itemBytes);
}

/**
 * What has been read and is still kept, oldest first: slices are seen again
 * and again, and a browser's memory ends.
 */
export class Kept<T> {
  constructor(
    private readonly _most: number,
    private readonly _isSame: (a: T, b: T) => boolean
  ) {}

  /** Count something that was read or seen; returns what has to go. */
  use(what: T, bytes: number): readonly T[] {
    const known = this._all.find(one => this._isSame(one.what, what));
    const others = this._all.filter(one => one !== known);
    this._all = [...others, known ?? { what, bytes }];
    const gone: T[] = [];
    while (this._all.length > 2 && this._sum() > this._most) {
      const [oldest, ...rest] = this._all;
      this._all = rest;
      if (oldest) {
        gone.push(oldest.what);
      }
    }
    return gone;
  }

  private _sum(): number {
    return this._all.reduce((sum, one) => sum + one.bytes, 0);
  }

  private _all: readonly { readonly what: T; readonly bytes: number }[] = [];
}
