// The cells that read what is seen. Pure.

import type { Part } from '../../api';
import {
  LOAD_EXT_LINE,
  hasLoadExt,
  nameUrl,
  quote,
  variableName
} from '../../storage/insert';
import { pythonLiteral } from '../../storage/readcode';
import { axisName, streamSource } from '../../storage/streamcode';
import { nameOf } from '../../storage/target';
import { exactGlob } from '../glob';
import { bytesOf } from './budget';
import type { DatasetEntity, EntityChild } from './contract';
import type { ArrayView } from './view';
import type { Slice } from './window';
import { indexTerms } from './window';

export interface Seen {
  readonly connection: string;
  readonly key: string;
  readonly view: ArrayView;
  /** The part as it is typed. */
  readonly select: string;
  readonly slice: Slice;
  readonly flips: readonly boolean[];
  /** The array is the file or the store itself. */
  readonly isAlone: boolean;
}

/** Whether an array lies in a Zarr store: only there are parts loaded alone. */
export function isZarr({ entity }: ArrayView, key: string): boolean {
  return entity.chunks !== null && !/\.(h5|hdf5|nc|nc4|he5)$/i.test(key);
}

/** What of a Zarr array a load of the slice reads. */
export function loadedPart(seen: Seen): Part {
  const { connection } = seen;
  return { connection, key: storeKey(seen), keys: [], select: selectOf(seen) };
}

/** A `%load_blob` of the slice; of files without parts, and then the slice. */
export function loadCode(seen: Seen, above: readonly string[]): string {
  const { connection, key, view, isAlone } = seen;
  const part = selectOf(seen);
  const lines = hasLoadExt(above) ? [] : [LOAD_EXT_LINE];
  const name = variableName(isAlone ? key : view.entity.name);
  const url = quote(
    nameUrl(connection, isZarr(view, key) ? storeKey(seen) : key)
  );
  if (isZarr(view, key)) {
    const select = part === '' ? '' : ` --select "${part}"`;
    return [...lines, `%load_blob ${url}${select} -o ${name}`].join('\n');
  }
  const index = part === '' ? '' : `[${part}]`;
  if (isAlone) {
    const load = `%load_blob ${url} -o ${name}`;
    const cut = index === '' ? [] : [`${name} = ${name}${index}`];
    return [...lines, load, ...cut].join('\n');
  }
  const file = variableName(key);
  const glob = quote(exactGlob(view.entity.name));
  const own = name === file ? `${name}_` : name;
  return [
    ...lines,
    `%load_blob ${url} --keys ${glob} -o ${file}`,
    `${own} = ${file}[${pythonLiteral(view.entity.name)}]${index}`
  ].join('\n');
}

/** Whether xarray opens an array, and what it opens with it: all arrays of a group, their axes named. */
export function canXarray(
  view: ArrayView,
  key: string,
  isAlone: boolean,
  siblings: readonly EntityChild[] = []
): boolean {
  const isNamed = ({ kind, dimension_names: names }: EntityChild) =>
    kind === 'group' ||
    names === undefined ||
    (names?.every(name => name !== null) ?? false);
  return (
    !isAlone &&
    isZarr(view, key) &&
    namesOf(view.entity) !== null &&
    siblings.every(isNamed)
  );
}

/** The slice by xarray; null where it does not open the array. */
export function xarrayCode(
  seen: Seen,
  above: readonly string[]
): string | null {
  const { connection, key, view, isAlone } = seen;
  const { entity } = view;
  const names = namesOf(entity);
  if (!names || !canXarray(view, key, isAlone)) {
    return null;
  }
  const url = pythonLiteral(nameUrl(connection, key));
  const group = entity.path.slice(1, -entity.name.length).replace(/\/$/, '');
  const within = group === '' ? '' : `, group=${pythonLiteral(group)}`;
  const name = variableName(entity.name);
  return [
    ...(hasLoadExt(above) ? [] : [LOAD_EXT_LINE]),
    'import xarray as xr',
    '',
    `${name} = xr.open_zarr(${url}${within})[${pythonLiteral(entity.name)}]${iselOf(seen, names)}`
  ].join('\n');
}

function iselOf(seen: Seen, names: readonly string[]): string {
  const picks = termsOf(seen).flatMap((term, axis) =>
    term === ':' ? [] : [[names[axis] ?? '', pickOf(term)] as const]
  );
  if (picks.length === 0) {
    return '';
  }
  return picks.every(([name]) => variableName(name) === name)
    ? `.isel(${picks.map(([name, pick]) => `${name}=${pick}`).join(', ')})`
    : `.isel({${picks.map(([name, pick]) => `${pythonLiteral(name)}: ${pick}`).join(', ')}})`;
}

/** The first axis of which more than one entry is chosen; null: there is none. */
export function sampleAxisOf({ window }: ArrayView): number | null {
  const axis = window.findIndex(span => typeof span !== 'number');
  return axis < 0 ? null : axis;
}

/** A stream of the part that is typed, along its first axis; null: of none. */
export function streamCode(
  seen: Seen,
  above: readonly string[]
): string | null {
  const { connection, key, view, select, isAlone } = seen;
  const { entity, window } = view;
  const axis = sampleAxisOf(view);
  if (axis === null || !isZarr(view, key)) {
    return null;
  }
  const counts = window.map(one => (typeof one === 'number' ? 1 : one.count));
  const itemBytes = entity.size_bytes / bytesOf(entity.shape, 1);
  return streamSource(
    {
      ...{ connection, key, select, isAlone, raw: false },
      arrays: isAlone ? [] : [entity.path.slice(1)],
      sampleAxis: axisName({ dimensions: entity.dimension_names }, axis),
      sampleBytes: bytesOf(counts, itemBytes) / (counts[axis] ?? 1)
    },
    above
  );
}

/** Files of which a sample holds single arrays, or tensors. */
const SAMPLED = /\.(npy|npz|safetensors)$/i;

/** Whether a sample can hold what is seen, and little else. */
export function canSample(view: ArrayView, key: string): boolean {
  return isZarr(view, key) || SAMPLED.test(key);
}

/** A `%blob sample` of the slice, of tensors of a file whole; null: of none. */
export function sampleCode(
  seen: Seen,
  above: readonly string[]
): string | null {
  const { connection, key, view, isAlone } = seen;
  if (!canSample(view, key)) {
    return null;
  }
  const isTensor = /\.safetensors$/i.test(key);
  const names = view.entity.path.slice(1);
  // Without a selection a sample is the first chunk, not all of the array.
  const terms = isTensor ? [] : termsOf(seen);
  // The tree's folders end with a slash; a store is named without one.
  const store = key.replace(/(?<=[^/])\/$/, '');
  const line = [
    `%blob sample ${quote(nameUrl(connection, store))}`,
    sampleFile(key || connection, isTensor ? '.safetensors' : '.zarr'),
    ...(isAlone ? [] : [`--keys ${quote(exactGlob(names))}`]),
    ...(terms.length === 0 ? [] : [`--select "${terms.join(', ')}"`])
  ];
  return [...(hasLoadExt(above) ? [] : [LOAD_EXT_LINE]), line.join(' ')].join(
    '\n'
  );
}

/** './t2m.zarr': a plain name beside the notebook, whatever the key is. */
function sampleFile(key: string, suffix: string): string {
  const stem = nameOf(key)
    .replace(/\.(zarr|npy|npz|safetensors)$/i, '')
    .replace(/[^\p{L}\p{N}._-]+/gu, '_')
    .replace(/^\.+/, '');
  return `./${[...stem].slice(0, 100).join('') || 'sample'}${suffix}`;
}

/** The slice as `--select` has it; '' for all of the array. */
function selectOf(seen: Seen): string {
  const terms = termsOf(seen);
  return terms.every(term => term === ':') ? '' : terms.join(', ');
}

function termsOf({ view, slice, flips }: Seen): readonly string[] {
  return indexTerms(view.window, slice, flips, view.entity.shape);
}

function storeKey({ key, view, isAlone }: Seen): string {
  return isAlone ? key : key.replace(/\/$/, '') + view.entity.path;
}

function namesOf({ dimension_names }: DatasetEntity): readonly string[] | null {
  return dimension_names?.every(name => name !== null) ? dimension_names : null;
}

/** '0:10:2' as slice(0, 10, 2). */
function pickOf(term: string): string {
  if (!term.includes(':')) {
    return term;
  }
  const parts = term.split(':').map(part => (part === '' ? 'None' : part));
  return `slice(${parts.join(', ')})`;
}
