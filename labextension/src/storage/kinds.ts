// What a row is, beyond its name: the words of its badge, and what follows. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import type { RowKind } from '../api';

export interface Badge {
  /** A word, small enough for a row. */
  readonly text: string;
  readonly title: string;
}

export function badgeOf(kind: RowKind, trans: TranslationBundle): Badge {
  switch (kind) {
    case 'zarr':
      return { text: 'zarr', title: trans.__('Zarr, by its name') };
    case 'zarr2_array':
      return { text: 'zarr', title: trans.__('Zarr array, version 2') };
    case 'zarr2_group':
      return { text: 'zarr', title: trans.__('Zarr group, version 2') };
    case 'zarr3':
      return { text: 'zarr', title: trans.__('Zarr, version 3') };
    case 'sharded':
      return {
        text: trans.__('model'),
        title: trans.__('A model in several files, with their index')
      };
    case 'distributed':
      return {
        text: 'dcp',
        title: trans.__('A checkpoint of torch.distributed')
      };
    case 'netcdf3':
      return { text: 'netcdf 3', title: trans.__('NetCDF before HDF5') };
    default:
      return { text: kind, title: trans.__('A file of kind %1', kind) };
  }
}

/** Whether a key is that of a Zarr store, or of a part of one. */
export function isZarr(key: string, kind: RowKind | null): boolean {
  return (kind?.startsWith('zarr') ?? false) || /\.zarr\/?$/i.test(key);
}
