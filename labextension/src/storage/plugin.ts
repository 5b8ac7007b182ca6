import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILabStatus, ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator } from '@jupyterlab/translation';

import { followSettings } from '../settings';
import { wordsOf } from '../translation';
import { addStorageCommands } from './commands';
import { composeStorage, holdWhileUploading } from './compose';
import { STORAGE_PANEL_ID } from './context';
import { applySettings } from './settings';

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
    const trans = wordsOf(translator);
    const { context, panel } = composeStorage({ app, tracker, state, trans });
    addStorageCommands(context, palette);
    app.shell.add(panel, 'left', { rank: 150 });
    restorer?.add(panel, STORAGE_PANEL_ID);
    if (status) {
      holdWhileUploading(context.uploads, status);
    }
    void followSettings(registry, PLUGIN_ID, settings =>
      applySettings(settings, context.model)
    );
  }
};
