// Bytes to numbers, in the types that the viewer's drawing takes. Pure.

export type NumberArray =
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

export type Values = NumberArray | (readonly [number, number])[];

const READERS: Readonly<
  Record<string, new (buffer: ArrayBuffer) => NumberArray>
> = {
  b1: Uint8Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  f4: Float32Array,
  f8: Float64Array,
  c8: Float32Array,
  c16: Float64Array
};

const CODE = /^[<|]([biufc])(\d+)$/;

interface ICode {
  readonly kind: string;
  readonly bytes: number;
}

/** The kind and the bytes of numpy's code: '<f4' is f, 4; null: not one of ours. */
export function codeOf(dtype: string): ICode | null {
  const [, kind = '', digits = ''] = CODE.exec(dtype) ?? [];
  return kind + digits in READERS ? { kind, bytes: Number(digits) } : null;
}

/** The numbers of an answer; complex ones are two at each place. */
export function numbersOf(buffer: ArrayBuffer, dtype: string): NumberArray {
  const code = codeOf(dtype);
  const Reader = code && READERS[code.kind + code.bytes];
  if (!Reader) {
    throw new Error(`Values of type ${dtype} cannot be shown.`);
  }
  return new Reader(buffer);
}

/** Complex numbers as pairs. */
export function pairsOf(flat: NumberArray): (readonly [number, number])[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [
    Number(flat[2 * i]),
    Number(flat[2 * i + 1])
  ]);
}

/** The numbers with some axes in the opposite direction; `width` a place. */
export function flipped(
  values: NumberArray,
  shape: readonly number[],
  flips: readonly boolean[],
  width = 1
): NumberArray {
  let now = values;
  shape.forEach((count, axis) => {
    if (flips[axis]) {
      const block = shape.slice(axis + 1).reduce((a, b) => a * b, width);
      now = reversed(now, count, block);
    }
  });
  return now;
}

function reversed(
  values: NumberArray,
  count: number,
  block: number
): NumberArray {
  const out = values.slice();
  const step = count * block;
  for (let base = 0; base < values.length; base += step) {
    for (let i = 0; i < count; i += 1) {
      const from = base + i * block;
      const part = values.subarray(from, from + block);
      // The parts of one array are of its own type.
      (out as Float64Array).set(
        part as Float64Array,
        base + (count - 1 - i) * block
      );
    }
  }
  return out;
}
