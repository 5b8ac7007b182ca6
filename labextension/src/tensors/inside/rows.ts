// Which tensors the table shows, and in which order. Pure.

import { formatShape } from '../../format';
import { globPattern, isGlob } from '../glob';
import type { Tensor } from './contract';

export type Column =
  'name' | 'dtype' | 'shape' | 'size' | 'chunks' | 'codecs' | 'about';

export interface Sort {
  readonly column: Column;
  readonly descending: boolean;
}

/** The columns that have something to show. */
export function columnsOf(tensors: readonly Tensor[]): readonly Column[] {
  const optional: readonly [Column, (tensor: Tensor) => boolean][] = [
    ['chunks', tensor => Boolean(tensor.chunks)],
    ['codecs', tensor => (tensor.codecs?.length ?? 0) > 0],
    ['about', tensor => aboutOf(tensor) !== '']
  ];
  return [
    'name',
    'dtype',
    'shape',
    'size',
    ...optional
      .filter(([, isThere]) => tensors.some(isThere))
      .map(([column]) => column)
  ];
}

/** What the next click on a column's title means; null: as in the file. */
export function nextSort(sort: Sort | null, column: Column): Sort | null {
  if (sort?.column !== column) {
    // The largest is what one looks for.
    return { column, descending: column === 'size' || column === 'shape' };
  }
  const isFirst = sort.descending === (column === 'size' || column === 'shape');
  return isFirst ? { column, descending: !sort.descending } : null;
}

/** The indices of the tensors that a filter leaves, in order. */
export function rowsOf(
  tensors: readonly Tensor[],
  filter: string,
  sort: Sort | null
): readonly number[] {
  const isWanted = wantedBy(filter);
  const found = [...tensors.keys()].filter(index => {
    const tensor = tensors[index];
    return tensor !== undefined && isWanted(tensor);
  });
  return sort ? sorted(tensors, found, sort) : found;
}

/** Units and what it is called at length. */
export function aboutOf(tensor: Tensor): string {
  const { long_name, standard_name, units } = tensor;
  return [long_name || standard_name, units ? `[${units}]` : '']
    .filter(Boolean)
    .join(' ');
}

export function chunksText({ chunks, shards }: Tensor): string {
  if (!chunks) {
    return '';
  }
  return shards
    ? `${formatShape(chunks)} / ${formatShape(shards)}`
    : formatShape(chunks);
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** A glob is of the whole name; words are looked for in names and units. */
function wantedBy(filter: string): (tensor: Tensor) => boolean {
  const text = filter.trim();
  if (isGlob(text)) {
    const pattern = globPattern(text);
    return ({ name }) => pattern.test(name) || name.includes(text);
  }
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return tensor => {
    const { name, dtype } = tensor;
    const where = `${name} ${dtype} ${aboutOf(tensor)}`.toLowerCase();
    return words.every(word => where.includes(word));
  };
}

function sorted(
  tensors: readonly Tensor[],
  indices: readonly number[],
  { column, descending }: Sort
): readonly number[] {
  const keys = new Map<number, string | number>();
  for (const index of indices) {
    const tensor = tensors[index];
    keys.set(index, tensor ? keyOf(tensor, column) : '');
  }
  const sign = descending ? -1 : 1;
  return [...indices].sort((one, other) => {
    const [left, right] = [keys.get(one) ?? '', keys.get(other) ?? ''];
    return left < right ? -sign : left > right ? sign : one - other;
  });
}

function keyOf(tensor: Tensor, column: Column): string | number {
  switch (column) {
    case 'name':
      return natural(tensor.name);
    case 'dtype':
      return natural(tensor.dtype);
    case 'shape':
      return elementsOf(tensor.shape);
    case 'size':
      return tensor.size_bytes;
    case 'chunks':
      return elementsOf(tensor.chunks ?? [0]);
    case 'codecs':
      return (tensor.codecs ?? []).join(' ');
    case 'about':
      return aboutOf(tensor).toLowerCase();
  }
}

/** So that layer 2 stands before layer 10. */
function natural(text: string): string {
  return text.replace(/\d+/g, digits => digits.padStart(12, '0'));
}
