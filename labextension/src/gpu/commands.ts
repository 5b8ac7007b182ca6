import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs, NO_ARGUMENTS } from '../commands';
import { insertIntoCurrent } from '../notebook';
import { LOAD_EXT_LINE } from '../storage/insert';
import type { MainArea } from './mainarea';
import { GPU_PANEL_ID } from './panel';

export function addGpuCommands(
  app: JupyterFrontEnd,
  main: MainArea,
  tracker: INotebookTracker | null,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const add = (
    command: string,
    label: string,
    execute: () => void | Promise<void>
  ) => {
    app.commands.addCommand(command, {
      label,
      describedBy: NO_ARGUMENTS,
      execute
    });
    palette?.addItem({ command, category: trans.__('GPU') });
  };
  add(CommandIDs.openGpu, trans.__('Show GPU Panel'), () =>
    app.shell.activateById(GPU_PANEL_ID)
  );
  add(CommandIDs.openDashboard, trans.__('GPU Dashboard'), () =>
    main.openDashboard()
  );
  add(CommandIDs.openDoctor, trans.__('Run GPU Doctor'), () =>
    main.openDoctor()
  );
  add(
    CommandIDs.insertLoadExt,
    trans.__('Insert %load_ext jupyter_gpu_ext'),
    () => insertIntoCurrent(app, tracker, () => LOAD_EXT_LINE, trans)
  );
}
