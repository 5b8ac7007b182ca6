import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILabStatus, ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { addStorageCommands } from './commands';
import { composeStorage, holdWhileUploading } from './compose';
import { STORAGE_PANEL_ID } from './panel';
import { followSettings } from './settings';

const PLUGIN_ID = 'jupyter-gpu-ext:storage';

export const storagePlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Browses cloud storage and puts loads into the notebook.',
  autoStart: true,
  optional: [
    ITranslator,
    INotebookTracker,
    ILayoutRestorer,
    ICommandPalette,
    ISettingRegistry,
    IStateDB,
    ILabStatus
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null,
    state: IStateDB | null,
    status: ILabStatus | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('jupyter_gpu_ext');
    const context = composeStorage({ app, tracker, state, trans });
    addStorageCommands(context, palette);
    app.shell.add(context.panel, 'left', { rank: 150 });
    restorer?.add(context.panel, STORAGE_PANEL_ID);
    if (status) {
      holdWhileUploading(context.uploads, status);
    }
    if (registry) {
      void followSettings(registry, PLUGIN_ID, context.model);
    }
  }
};
