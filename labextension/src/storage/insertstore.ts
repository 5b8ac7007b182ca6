// What a Zarr store becomes in the notebook: that depends on what is in it, so a look comes first.

import { Notification } from '@jupyterlab/apputils';

import { wordsFor } from '../components/words';
import { printable } from '../format';
import { asApiError } from '../request';
import type { IStorageContext } from './context';
import { datasetSource } from './datasetcode';
import { insert, pathOf } from './insertrow';
import type { FolderRow } from './rows';
import { storeStream, streamSource } from './streamcode';
import { nameOf } from './target';

/** Insert the code that reads a store, once it is known to run. */
export async function insertStore(
  context: IStorageContext,
  row: FolderRow,
  as: 'stream' | 'xarray'
): Promise<void> {
  const { api, trans } = context;
  const path = pathOf(row);
  if (!path) {
    return;
  }
  try {
    const file = await api.tensorInfo(path.connection, path.key);
    const streamed = as === 'stream' ? storeStream(path, file) : null;
    if (as === 'xarray') {
      insert(context, row, above => datasetSource(path, file, above));
    } else if (streamed) {
      insert(context, row, above => streamSource(streamed, above));
    } else {
      Notification.warning(
        trans.__(
          "%1 holds no array that can be streamed. Open What's inside to see why.",
          printable(nameOf(path.key))
        ),
        { autoClose: 8000 }
      );
    }
  } catch (error) {
    const { message, hint } = wordsFor(asApiError(error), trans);
    Notification.error(`${message} ${hint}`.replaceAll('`', ''), {
      autoClose: 8000
    });
  }
}
