// What is said of a file, of a load's cost and of an array's pieces. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes, formatShape } from '../../format';
import type { Plan, Tensor, TensorFile } from './contract';
import type { Room } from './room';
import { elementsOf } from './rows';

/** Below this nobody minds what is read beside what is used. */
const TOLD_RATIO = 1.15;

/** 'safetensors · 291 tensors · 26.0 GB' */
export function fileFacts(file: TensorFile, trans: TranslationBundle): string {
  const isStore = file.kind === 'zarr' || file.kind === 'hdf5';
  return [
    file.kind,
    isStore
      ? trans._n('%1 array', '%2 arrays', file.tensor_count, count(file))
      : trans._n('%1 tensor', '%2 tensors', file.tensor_count, count(file)),
    isStore
      ? trans.__('%1 decoded', formatBytes(file.tensor_bytes))
      : formatBytes(file.tensor_bytes)
  ].join(' · ');
}

function count({ tensor_count }: TensorFile): string {
  return tensor_count.toLocaleString();
}

/** 'needs 6.3 GB, free 22.1 GB on GPU 0, reads 6.3 GB in 24 requests' */
export function costWords(
  plan: Plan,
  room: Room | null,
  trans: TranslationBundle
): string {
  const needs = formatBytes(plan.bytes_on_device);
  return [
    trans.__('needs %1', needs),
    ...(room
      ? [trans.__('free %1 on %2', formatBytes(room.freeBytes), room.name)]
      : []),
    readWords(plan, trans)
  ].join(', ');
}

/** 'reads ≈ 6.3 GB in 24 requests' */
export function readWords(plan: Plan, trans: TranslationBundle): string {
  const about = isEstimate(plan) ? '≈ ' : '';
  const read = about + formatBytes(plan.bytes_read);
  const requests = about + plan.requests.toLocaleString();
  return plan.requests === 1 && about === ''
    ? trans.__('reads %1 in one request', read)
    : trans.__('reads %1 in %2 requests', read, requests);
}

export function fits(plan: Plan, room: Room | null): boolean {
  return room === null || plan.bytes_on_device <= room.freeBytes;
}

/** 'reads 4.1x what you use'; '' where it hardly reads more. */
export function ratioWords(plan: Plan, trans: TranslationBundle): string {
  const ratio = ratioOf(plan);
  return ratio < TOLD_RATIO
    ? ''
    : trans.__(
        'reads %1x what you use',
        ratio < 100 ? ratio.toFixed(1) : Math.round(ratio).toLocaleString()
      );
}

/** Values read for each that is used; of an older server that of the bytes. */
function ratioOf({ read_ratio, bytes_read, bytes_used }: Plan): number {
  return read_ratio ?? (bytes_used > 0 ? bytes_read / bytes_used : 0);
}

function isEstimate(plan: Plan): boolean {
  const { exact, sampled_count, object_count = 0 } = plan;
  return exact === undefined
    ? sampled_count !== undefined && sampled_count < object_count
    : !exact;
}

/** 'time 2184 × latitude 121 × longitude 1440' */
export function axesWords({ shape, dimensions }: Tensor): string {
  return dimensions && shape.length > 0
    ? shape
        .map((length, axis) => `${dimensions[axis] ?? ''} ${length}`.trim())
        .join(' × ')
    : formatShape(shape);
}

/** '100 × 121 × 1440 · 33.5 MB each · 22 chunks' */
export function piecesWords(
  tensor: Tensor,
  pieces: readonly number[],
  many: (count: number) => string,
  trans: TranslationBundle
): string {
  const grid = tensor.shape.map((length, axis) =>
    Math.ceil(length / Math.max(1, pieces[axis] ?? 1))
  );
  const elements = elementsOf(tensor.shape);
  const item = elements > 0 ? tensor.size_bytes / elements : 0;
  return [
    formatShape(pieces),
    trans.__('%1 each', formatBytes(item * elementsOf(pieces))),
    many(elementsOf(grid))
  ].join(' · ');
}

/** An attribute's value on one line. */
export function attributeText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
