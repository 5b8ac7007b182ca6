// What is said of a file, of a load's cost and of an array's pieces. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes, formatShape } from '../../format';
import { readWords } from '../planwords';
import type { Plan, Tensor, TensorFile } from './contract';
import type { Room } from './room';
import { elementsOf } from './rows';

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

export function fits(plan: Plan, room: Room | null): boolean {
  return room === null || plan.bytes_on_device <= room.freeBytes;
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
