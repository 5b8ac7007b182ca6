// The cells that the table puts into a notebook. Pure.

import {
  LOAD_EXT_LINE,
  hasLoadExt,
  nameUrl,
  quote,
  variableName
} from '../../storage/insert';
import { pythonLiteral } from '../../storage/readcode';
import type { Path } from '../../storage/target';
import { folderOf, isAlone, nameOf } from '../../storage/target';
import { exactGlob } from '../glob';
import type { Part, Tensor, TensorFile } from './contract';
import { indexingOf, namedIn } from './slicecode';

/** '%load_blob weights://m.pt -o m --keys layer.0.*' */
export function loadLineOf(part: Part): string {
  const { connection, key, keys, select, raw } = part;
  const url = quote(nameUrl(connection, key));
  return [
    `%load_blob ${url} -o ${variableName(key)}`,
    ...keys.map(glob => `--keys ${quote(glob)}`),
    ...(select?.trim() ? [`--select ${quote(select.trim())}`] : []),
    ...(raw ? ['--raw'] : [])
  ].join(' ');
}

/** The code for a new cell below cells with these sources. */
export function loadCode(part: Part, above: readonly string[]): string {
  return withLoadExt([loadLineOf(part)], above);
}

/** One array of a store, as a tensor of its own where that is the same. */
export function arrayPart(
  path: Path,
  file: TensorFile,
  tensor: Tensor,
  select: string,
  raw: boolean
): Part {
  const options = { select, raw };
  if (isAlone(path, file)) {
    return { ...path, keys: [], ...options };
  }
  const folder = tensor.name.slice(0, tensor.name.lastIndexOf('/') + 1);
  const names = new Set(file.tensors.map(({ name }) => name));
  const isBeside = (name: string) => names.has(`${folder}${name}`);
  // Labels of a group above are found from the store, not from the array.
  return namedIn(select).every(isBeside)
    ? { ...arrayPath(path, tensor), keys: [], ...options }
    : { ...path, keys: [exactGlob(tensor.name)], ...options };
}

/** Why xarray cannot read an array; '' where it can. */
export function xarrayObstacle(
  path: Path,
  file: TensorFile,
  tensor: Tensor
): 'alone' | 'unnamed' | '' {
  if (isAlone(path, file)) {
    return 'alone';
  }
  const folder = folderOf(tensor.name);
  const isNamed = ({ dimensions, shape }: Tensor) =>
    dimensions?.length === shape.length && !dimensions.includes(null);
  // It opens the whole group.
  const beside = file.tensors.filter(({ name }) => folderOf(name) === folder);
  return [tensor, ...beside].every(isNamed) ? '' : 'unnamed';
}

/** The part of an array as a lazy array of xarray. */
export function xarrayCode(
  path: Path,
  file: TensorFile,
  tensor: Tensor,
  select: string,
  above: readonly string[]
): string {
  const at = tensor.name.lastIndexOf('/');
  const url = pythonLiteral(nameUrl(path.connection, path.key));
  const group =
    at < 0 ? '' : `, group=${pythonLiteral(tensor.name.slice(0, at))}`;
  const store = variableName(path.key);
  const own = variableName(`${nameOf(tensor.name)}.`);
  const name = own === store ? `${own}_array` : own;
  const literal = pythonLiteral(tensor.name.slice(at + 1));
  const part = indexingOf(select, dimension => isDated(file, dimension));
  const lines = [
    'import xarray as xr',
    '',
    `${store} = xr.open_zarr(${url}${group})`,
    `${name} = ${store}[${literal}]${part}`
  ];
  return withLoadExt(lines, above);
}

/** Whether the labels of a dimension are dates. */
export function isDated(file: TensorFile, dimension: string): boolean {
  const found = file.tensors.find(({ name }) => nameOf(name) === dimension);
  return (
    / since /.test(found?.units ?? '') ||
    (found?.dtype.startsWith('datetime64') ?? false)
  );
}

/** The code that opens an HDF5 file, which no magic loads. */
export function h5pyCode(
  path: Path,
  tensor: Tensor | null,
  above: readonly string[]
): string {
  const url = pythonLiteral(nameUrl(path.connection, path.key));
  const name = variableName(path.key);
  const lines = [
    'import fsspec',
    'import h5py',
    '',
    `${name} = h5py.File(fsspec.open(${url}).open())`,
    ...(tensor ? [`${name}[${pythonLiteral(tensor.name)}]`] : [])
  ];
  return withLoadExt(lines, above);
}

function withLoadExt(
  lines: readonly string[],
  above: readonly string[]
): string {
  return [...(hasLoadExt(above) ? [] : [LOAD_EXT_LINE]), ...lines].join('\n');
}

function arrayPath({ connection, key }: Path, tensor: Tensor): Path {
  const folder = key === '' || key.endsWith('/') ? key : `${key}/`;
  return { connection, key: `${folder}${tensor.name}` };
}
