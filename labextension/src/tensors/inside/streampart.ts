// The stream of the part that is typed. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import { printable } from '../../format';
import type { Streamed } from '../../storage/streamcode';
import { axisName, sampleBytesOf } from '../../storage/streamcode';
import type { Path } from '../../storage/target';
import { isAlone } from '../../storage/target';
import type { Plan, Tensor, TensorFile } from './contract';
import { isDated } from './insertcode';
import { endsOf, partsOf } from './slicecode';

interface IPart {
  readonly select: string;
  readonly raw: boolean;
  /** Of this part; null: not known yet. */
  readonly plan: Plan | null;
}

/** What a stream of a part of an array is asked for; null: it has no samples. */
export function partStream(
  path: Path,
  file: TensorFile,
  tensor: Tensor,
  { select, raw, plan }: IPart
): Streamed | null {
  const shape = plan?.tensors?.[0]?.shape ?? null;
  const kept = keptAxes(file, tensor, select, shape);
  const [axis] = kept;
  if (axis === undefined) {
    return null;
  }
  const alone = isAlone(path, file);
  const sampleBytes =
    shape?.length === kept.length && plan
      ? plan.bytes_on_device / Math.max(1, shape[0] ?? 1)
      : sampleBytesOf(tensor, tensor.shape[axis]);
  return {
    ...{ ...path, select, raw, sampleBytes, isAlone: alone },
    arrays: alone ? [] : [tensor.name],
    sampleAxis: axisName(tensor, axis)
  };
}

/**
 * The axes that a part leaves: a single entry of one leaves none of it. A date
 * is a single entry or a period, as the result's shape tells; none without it.
 */
function keptAxes(
  file: TensorFile,
  tensor: Tensor,
  select: string,
  shape: readonly number[] | null
): readonly number[] {
  const terms = termsOf(tensor, select);
  const names = tensor.dimensions ?? [];
  const isDate = (axis: number) =>
    select.includes('=') && isDated(file, names[axis] ?? '');
  const isRange = (axis: number) => {
    const term = terms[axis] ?? ':';
    return isDate(axis) ? endsOf(term).length > 1 : term.includes(':');
  };
  const axes = tensor.shape.map((_, axis) => axis);
  const ranges = axes.filter(isRange);
  const isSure = !axes.some(axis => isDate(axis) && !isRange(axis));
  if (isSure || shape?.length === ranges.length) {
    return ranges;
  }
  return shape ? axes.filter(axis => isRange(axis) || isDate(axis)) : [];
}

/** The sample axis as it is told. */
export function axisWords(
  { sampleAxis }: Streamed,
  trans: TranslationBundle
): string {
  return typeof sampleAxis === 'string'
    ? printable(sampleAxis)
    : trans.__('axis %1', sampleAxis);
}

/** The term of each axis; undefined: all of it. */
function termsOf(
  { shape, dimensions }: Tensor,
  select: string
): readonly (string | undefined)[] {
  const parts = partsOf(select);
  if (select.includes('=')) {
    const named = new Map(
      parts.map(part => {
        const at = part.indexOf('=');
        return [part.slice(0, at).trim(), part.slice(at + 1)] as const;
      })
    );
    return shape.map((_, axis) => named.get(dimensions?.[axis] ?? ''));
  }
  const dots = parts.indexOf('...');
  const rest = shape.length - (parts.length - 1);
  return dots < 0
    ? parts
    : [
        ...parts.slice(0, dots),
        ...Array.from({ length: rest }, () => ':'),
        ...parts.slice(dots + 1)
      ];
}
