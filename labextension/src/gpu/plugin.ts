import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import {
  ICommandPalette,
  IThemeManager,
  IToolbarWidgetRegistry
} from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator } from '@jupyterlab/translation';

import { Api } from '../api';
import { CommandIDs } from '../commands';
import { followSettings } from '../settings';
import { IGpuModel } from '../tokens';
import { wordsOf } from '../translation';
import { Alerting } from './alerting';
import { BADGE_NAME, Badge } from './badge';
import { addGpuCommands } from './commands';
import { DoctorModel } from './doctor/model';
import { composeMainArea } from './mainarea';
import { GpuModel } from './model';
import { GPU_PANEL_ID, GpuPanel } from './panel';
import { releaseActions } from './releasing';
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
    ISettingRegistry,
    IThemeManager,
    IToolbarWidgetRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    statusBar: IStatusBar | null,
    registry: ISettingRegistry | null,
    themes: IThemeManager | null,
    toolbars: IToolbarWidgetRegistry | null
  ): IGpuModel => {
    const { commands, shell, serviceManager } = app;
    const trans = wordsOf(translator);
    const api = new Api(serviceManager.serverSettings);
    const model = new GpuModel(api);
    const doctor = new DoctorModel(api);
    const run = (command: string) => () => void commands.execute(command);
    const main = composeMainArea({
      ...{ app, api, model, doctor, tracker, themes, restorer, trans }
    });
    addGpuCommands(app, main, tracker, palette, trans);
    const onReleased = () => void model.refresh();
    const panel = new GpuPanel({
      ...{ model, doctor, tracker, trans },
      actions: releaseActions({ app, api, tracker, trans, onReleased }),
      onInsertLoadExt: run(CommandIDs.insertLoadExt),
      onDashboard: run(CommandIDs.openDashboard),
      onDoctor: run(CommandIDs.openDoctor)
    });
    shell.add(panel, 'right', { rank: 700 });
    restorer?.add(panel, GPU_PANEL_ID);
    const onOpen = run(CommandIDs.openGpu);
    toolbars?.addFactory<NotebookPanel>(
      'Notebook',
      BADGE_NAME,
      notebook => new Badge({ model, notebook, onOpen, trans })
    );
    const item = statusBar && addStatusItem(statusBar, model, onOpen, trans);
    const alerting = new Alerting(model, onOpen, trans);
    void followSettings(registry, PLUGIN_ID, settings =>
      applySettings(settings, { model, item, alerting })
    );
    return model;
  }
};
