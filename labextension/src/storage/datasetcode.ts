// The code that opens a Zarr store, by what is in it. Pure.

import type { TensorFile } from '../api';
import { LOAD_EXT_LINE, hasLoadExt, nameUrl, variableName } from './insert';
import { pythonLiteral, readSource } from './readcode';
import type { Path } from './target';
import { isAlone } from './target';

/** The code for a new cell below cells with these sources. */
export function datasetSource(
  path: Path,
  file: TensorFile,
  above: readonly string[]
): string {
  const { connection, key } = path;
  const dataset = isDataset(path, file)
    ? readSource('xarray', connection, key, above, 'zarr')
    : null;
  return dataset ?? zarrSource(path, above);
}

/** Whether xarray opens it: a group whose arrays name their axes. */
function isDataset(path: Path, file: TensorFile): boolean {
  const here = file.tensors.filter(({ name }) => !name.includes('/'));
  return (
    !isAlone(path, file) &&
    here.every(({ dimensions: names }) => names && !names.includes(null))
  );
}

function zarrSource(
  { connection, key }: Path,
  above: readonly string[]
): string {
  const url = pythonLiteral(nameUrl(connection, key));
  return [
    ...(hasLoadExt(above) ? [] : [LOAD_EXT_LINE]),
    'import zarr',
    '',
    '# xarray opens groups whose arrays name their axes, zarr the others.',
    `${variableName(key)} = zarr.open(${url}, mode="r")`
  ].join('\n');
}
