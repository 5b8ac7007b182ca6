import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import type { Jobs } from './jobs';
import type { Memory } from './memory';
import type { StorageModel } from './model';
import type { Place } from './state';
import type { Uploads } from './uploads';

export const STORAGE_PANEL_ID = 'jupyter-gpu-ext-storage';

/** What the commands ask of the panel. */
export interface IStorageView {
  /** Put a text into the box, for a person to go on with. */
  offer(text: string): void;
  /** Begin to type behind a folder's path. */
  find(place: Place): void;
  /** Take a new link for a connection. */
  renew(connection: string): void;
}

/** What the storage commands act on and by. */
export interface IStorageContext {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly model: StorageModel;
  readonly memory: Memory;
  readonly uploads: Uploads;
  readonly jobs: Jobs;
  readonly panel: IStorageView;
  readonly tracker: INotebookTracker | null;
  readonly trans: TranslationBundle;
}
