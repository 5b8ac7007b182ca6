// The code that streams samples of a Zarr store to the device. Pure.

import { exactGlob } from '../tensors/glob';
import type { Tensor, TensorFile } from '../tensors/inside/contract';
import { nameUrl } from './insert';
import { pythonLiteral } from './readcode';
import type { Path } from './target';
import { isAlone, nameOf } from './target';

/** What a stream is asked for, by the names of `ZarrStream`. */
export interface Streamed extends Path {
  /** Empty: all that have the sample axis, or the one array that is there. */
  readonly arrays: readonly string[];
  readonly sampleAxis: string | number;
  readonly select: string;
  readonly raw: boolean;
  /** The store is an array, and not a group. */
  readonly isAlone: boolean;
  /** What a sample may take at most. */
  readonly sampleBytes: number;
}

const IMPORT = 'import jupyter_gpu_ext as jg';

/** The code for a new cell below cells with these sources. */
export function streamSource(
  streamed: Streamed,
  above: readonly string[]
): string {
  const isImported = above.some(source =>
    source.split('\n').some(line => line.trimEnd() === IMPORT)
  );
  return [
    ...(isImported ? [] : [IMPORT, '']),
    'stream = (',
    `    jg.ZarrStream(${argumentsOf(streamed).join(', ')})`,
    '    .shuffle(seed=0)',
    `    .batch(${batchSize(streamed.sampleBytes)})`,
    '    .prefetch(2)',
    '    .to("auto")',
    ')',
    'for batch in stream:',
    ...shapes(streamed).map(line => `    ${line}`),
    '    break'
  ].join('\n');
}

function argumentsOf(streamed: Streamed): readonly string[] {
  const { connection, key, arrays, sampleAxis, select, raw } = streamed;
  // The tree's folders end with a slash; a store is named without one.
  const store = key.replace(/(?<=[^/])\/$/, '');
  const globs = arrays.map(name => pythonLiteral(exactGlob(name)));
  const axis =
    typeof sampleAxis === 'string' ? pythonLiteral(sampleAxis) : sampleAxis;
  const text = select.trim();
  return [
    pythonLiteral(nameUrl(connection, store)),
    ...(globs.length === 0 ? [] : [`arrays=[${globs.join(', ')}]`]),
    ...(axis === 0 ? [] : [`sample_axis=${axis}`]),
    ...(text === '' ? [] : [`select=${pythonLiteral(text)}`]),
    ...(raw ? ['raw=True'] : [])
  ];
}

/** What prints the shapes of a batch: of a group's arrays, or of one. */
function shapes({ isAlone: alone, key }: Streamed): readonly string[] {
  if (!alone) {
    return ['print({name: tuple(one.shape) for name, one in batch.items()})'];
  }
  // A group may have one array of its own name, and look the same.
  return /\.zarr\/?$/i.test(key)
    ? ['print(tuple(batch.shape))']
    : [
        'arrays = batch if isinstance(batch, dict) else {"batch": batch}',
        'print({name: tuple(one.shape) for name, one in arrays.items()})'
      ];
}

const MOST_BATCH_BYTES = 256 * 2 ** 20;
const MOST_BATCH = 32;

/** So many samples that a first batch is no burden. */
function batchSize(sampleBytes: number): number {
  const fitting = MOST_BATCH_BYTES / Math.max(1, sampleBytes);
  return Math.min(MOST_BATCH, 2 ** Math.max(0, Math.floor(Math.log2(fitting))));
}

/**
 * What a stream is asked for those arrays that belong together, by the first
 * axis of the largest; null: there is none.
 *
 * @param chosen - Of the store's arrays, those that come into question.
 */
export function storeStream(
  path: Path,
  file: TensorFile,
  chosen: readonly Tensor[] = file.tensors
): Streamed | null {
  const readable = chosen.filter(
    ({ shape, unreadable }) => !unreadable && shape.length > 0
  );
  const fields = readable.filter(one => !isCoordinate(one));
  const [first, ...others] = fields.length > 0 ? fields : readable;
  if (!first) {
    return null;
  }
  const main = others.reduce(
    (large, one) => (one.size_bytes > large.size_bytes ? one : large),
    first
  );
  const sampleAxis = axisName(main, 0);
  const count = main.shape[0];
  const together = [first, ...others].filter(
    one => one.shape[placeOf(one, sampleAxis)] === count
  );
  const isAll =
    chosen === file.tensors &&
    isKnown(file) &&
    together.length === file.tensors.filter(takenBy(sampleAxis)).length;
  return {
    ...path,
    ...{ sampleAxis, select: '', raw: false, isAlone: isAlone(path, file) },
    arrays: isAll ? [] : together.map(({ name }) => name),
    sampleBytes: sum(together.map(one => sampleBytesOf(one, count)))
  };
}

/** An axis as a stream is told of it: by its name where it has one. */
export function axisName(
  { dimensions }: Pick<Tensor, 'dimensions'>,
  axis: number
): string | number {
  return dimensions?.[axis] || axis;
}

export function sampleBytesOf(
  { size_bytes }: Pick<Tensor, 'size_bytes'>,
  count: number | undefined
): number {
  return size_bytes / Math.max(1, count ?? 1);
}

function placeOf({ dimensions }: Tensor, axis: string | number): number {
  return typeof axis === 'number' ? axis : (dimensions?.indexOf(axis) ?? -1);
}

function isCoordinate({ name, dimensions }: Tensor): boolean {
  return dimensions?.length === 1 && dimensions[0] === nameOf(name);
}

/** Whether all that the store holds was looked at. */
function isKnown({ tensors, tensor_count, groups }: TensorFile): boolean {
  return (
    tensors.length === tensor_count &&
    !(groups?.some(({ unread }) => unread) ?? false)
  );
}

/** Whether a stream takes an array that it is not told of. */
function takenBy(axis: string | number): (one: Tensor) => boolean {
  return one =>
    one.shape.length > 0 &&
    (!one.dimensions ||
      (!isCoordinate(one) &&
        (typeof axis === 'number' || one.dimensions.includes(axis))));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
