import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs, NO_ARGUMENTS } from '../commands';
import { insertIntoCurrent } from '../notebook';
import { LOAD_EXT_LINE } from '../storage/insert';
import { GPU_PANEL_ID } from './panel';

export function addGpuCommands(
  app: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  app.commands.addCommand(CommandIDs.openGpu, {
    label: trans.__('Show GPU Panel'),
    describedBy: NO_ARGUMENTS,
    execute: () => app.shell.activateById(GPU_PANEL_ID)
  });
  app.commands.addCommand(CommandIDs.insertLoadExt, {
    label: trans.__('Insert %load_ext jupyter_gpu_ext'),
    describedBy: NO_ARGUMENTS,
    execute: () => insertIntoCurrent(app, tracker, () => LOAD_EXT_LINE, trans)
  });
  for (const command of [CommandIDs.openGpu, CommandIDs.insertLoadExt]) {
    palette?.addItem({ command, category: trans.__('GPU') });
  }
}
