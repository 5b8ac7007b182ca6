import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator } from '@jupyterlab/translation';

import { Api } from '../api';
import { CommandIDs } from '../commands';
import { followSettings } from '../settings';
import { IGpuModel } from '../tokens';
import { wordsOf } from '../translation';
import { addGpuCommands } from './commands';
import { GpuModel } from './model';
import { GPU_PANEL_ID, GpuPanel } from './panel';
import { applySettings } from './settings';
import { addStatusItem } from './statusitem';

const PLUGIN_ID = 'jupyter-gpu-ext:gpu';

export const gpuPlugin: JupyterFrontEndPlugin<IGpuModel> = {
  id: PLUGIN_ID,
  description: 'Shows the GPUs: memory by notebook, how busy they are.',
  autoStart: true,
  provides: IGpuModel,
  optional: [
    ITranslator,
    INotebookTracker,
    ILayoutRestorer,
    ICommandPalette,
    IStatusBar,
    ISettingRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    statusBar: IStatusBar | null,
    registry: ISettingRegistry | null
  ): IGpuModel => {
    const { commands, shell, serviceManager } = app;
    const trans = wordsOf(translator);
    const model = new GpuModel(new Api(serviceManager.serverSettings));
    const run = (command: string) => () => void commands.execute(command);
    addGpuCommands(app, tracker, palette, trans);
    const panel = new GpuPanel({
      model,
      tracker,
      onInsertLoadExt: run(CommandIDs.insertLoadExt),
      trans
    });
    shell.add(panel, 'right', { rank: 700 });
    restorer?.add(panel, GPU_PANEL_ID);
    const open = run(CommandIDs.openGpu);
    const item = statusBar && addStatusItem(statusBar, model, open, trans);
    void followSettings(registry, PLUGIN_ID, settings =>
      applySettings(settings, model, item)
    );
    return model;
  }
};
