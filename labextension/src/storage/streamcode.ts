// The code that streams a Zarr store's samples to the device. Pure.

import type { RowKind } from '../api';
import { nameUrl } from './insert';
import { pythonLiteral } from './readcode';

const IMPORT = 'import jupyter_gpu_ext as jg';

/** The code for a new cell below cells with these sources. */
export function streamSource(
  connection: string,
  key: string,
  sourcesAbove: readonly string[],
  kind: RowKind | null = null
): string {
  // The tree's folders end with a slash; a store is named without one.
  const store = key.replace(/(?<=[^/])\/$/, '');
  const url = pythonLiteral(nameUrl(connection, store));
  const isImported = sourcesAbove.some(source =>
    source.split('\n').some(line => line.trimEnd() === IMPORT)
  );
  const chain = '.shuffle(seed=0).batch(32).prefetch(2).to("auto")';
  return [
    ...(isImported ? [] : [IMPORT, '']),
    `stream = jg.ZarrStream(${url})${chain}`,
    'for batch in stream:',
    ...shapes(kind).map(line => `    ${line}`),
    '    break'
  ].join('\n');
}

/** What prints the shapes of a batch: of a group's arrays, or of one. */
function shapes(kind: RowKind | null): readonly string[] {
  return kind === 'zarr2_array'
    ? ['print(tuple(batch.shape))']
    : [
        'arrays = batch if isinstance(batch, dict) else {"batch": batch}',
        'print({name: tuple(one.shape) for name, one in arrays.items()})'
      ];
}
