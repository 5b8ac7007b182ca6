import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import { asApiError } from '../request';
import type { Jobs } from './jobs';
import type { Memory } from './memory';
import type { StorageModel } from './model';
import type { StoragePanel } from './panel';
import type { Row } from './rows';
import type { Place } from './state';
import type { Uploads } from './uploads';

/** What the storage commands act on and by. */
export interface IStorageContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly model: StorageModel;
  readonly memory: Memory;
  readonly uploads: Uploads;
  readonly jobs: Jobs;
  readonly panel: StoragePanel;
  readonly tracker: INotebookTracker | null;
  readonly trans: TranslationBundle;
}

/** Where a row is, or where it is listed. */
export function placeOf(row: Row): Place {
  return row.kind === 'object' || row.kind === 'shards'
    ? row.within
    : row.place;
}

/** Whether a person may change what a row stands for. */
export function isWritable(model: StorageModel, row: Row | null): boolean {
  const name = row ? placeOf(row).connection : '';
  const connection = model.connections.find(known => known.name === name);
  return connection !== undefined && !connection.read_only;
}

/** Do something to a row; what goes wrong is said below it. */
export async function tryOn(
  model: StorageModel,
  id: string,
  act: () => Promise<void>
): Promise<void> {
  model.trouble(id, null);
  try {
    await act();
  } catch (error) {
    model.trouble(id, asApiError(error));
  }
}
