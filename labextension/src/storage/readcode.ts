// The code that reads a file with another library, by its name and what it is. Pure.

import type { RowKind } from '../api';
import { printable } from '../format';
import { LOAD_EXT_LINE, hasLoadExt, nameUrl, variableName } from './insert';
import { isZarr } from './kinds';

export type Reader = 'pandas' | 'xarray';

interface ICall {
  readonly imports: string;
  readonly write: (url: string) => string;
}

const PANDAS: readonly (readonly [RegExp, string])[] = [
  [/\.(parquet|pq)$/i, 'read_parquet'],
  [/\.csv(\.(gz|bz2|zip|xz|zst))?$/i, 'read_csv'],
  [/\.tsv(\.gz)?$/i, 'read_table'],
  [/\.(jsonl|ndjson)(\.gz)?$/i, 'read_json:lines=True'],
  [/\.json(\.gz)?$/i, 'read_json'],
  [/\.feather$/i, 'read_feather'],
  [/\.xlsx?$/i, 'read_excel']
];

/** How a library reads what has this key; null when it does not. */
export function callFor(
  reader: Reader,
  key: string,
  kind: RowKind | null = null
): ICall | null {
  return reader === 'pandas' ? pandasCall(key) : xarrayCall(key, kind);
}

/** The code for a new cell below cells with these sources; null: cannot. */
export function readSource(
  reader: Reader,
  connection: string,
  key: string,
  sourcesAbove: readonly string[],
  kind: RowKind | null = null
): string | null {
  const call = callFor(reader, key, kind);
  if (!call) {
    return null;
  }
  const url = pythonLiteral(nameUrl(connection, key));
  // The extension is what makes a connection's name a protocol of fsspec.
  const first = hasLoadExt(sourcesAbove) ? [] : [LOAD_EXT_LINE];
  const line = `${variableName(key)} = ${call.write(url)}`;
  return [...first, call.imports, '', line].join('\n');
}

/** A text as a Python string on one line, its marks visible. */
export function pythonLiteral(text: string): string {
  return `"${printable(text.replace(/[\\"]/g, '\\$&'))}"`;
}

function pandasCall(key: string): ICall | null {
  const found = PANDAS.find(([pattern]) => pattern.test(key))?.[1];
  const [method, option] = found?.split(':') ?? [];
  const more = option ? `, ${option}` : '';
  return method
    ? {
        imports: 'import pandas as pd',
        write: url => `pd.${method}(${url}${more})`
      }
    : null;
}

function xarrayCall(key: string, kind: RowKind | null): ICall | null {
  if (kind === 'zarr2_array') {
    // Which opens groups only.
    return null;
  }
  if (isZarr(key, kind)) {
    const write = (url: string) => `xr.open_zarr(${url})`;
    return { imports: 'import xarray as xr', write };
  }
  return /\.(nc|nc4|h5|hdf5)$/i.test(key)
    ? {
        imports: 'import fsspec\nimport xarray as xr',
        write: url => `xr.open_dataset(fsspec.open(${url}).open())`
      }
    : null;
}
