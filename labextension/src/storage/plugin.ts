import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { Clipboard, ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Api } from '../api';
import { CommandIDs } from '../commands';
import { addStorageCommands } from './commands';
import { StorageModel } from './model';
import { STORAGE_PANEL_ID, StoragePanel } from './panel';
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
    ISettingRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null
  ): void => {
    const { commands, shell, serviceManager } = app;
    const trans = (translator ?? nullTranslator).load('jupyter_gpu_ext');
    const model = new StorageModel(new Api(serviceManager.serverSettings));
    addStorageCommands({ app, model, tracker, palette, trans });
    const panel = new StoragePanel({
      model,
      trans,
      onInsert: () => void commands.execute(CommandIDs.insertLoad),
      onCopyUrl: () => void commands.execute(CommandIDs.copyUrl),
      onCopy: text => Clipboard.copyToSystem(text)
    });
    shell.add(panel, 'left', { rank: 150 });
    restorer?.add(panel, STORAGE_PANEL_ID);
    if (registry) {
      void followSettings(registry, PLUGIN_ID, model);
    }
  }
};
