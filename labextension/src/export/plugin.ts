import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';

import { CommandIDs, NO_ARGUMENTS } from '../commands';
import { currentNotebook } from '../notebook';
import { wordsOf } from '../translation';

export const exportPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-gpu-ext:export',
  description: 'Makes a job of a notebook.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = wordsOf(translator);
    const command = CommandIDs.exportJob;
    app.commands.addCommand(command, {
      label: trans.__('Export Training Job…'),
      describedBy: NO_ARGUMENTS,
      isEnabled: () => currentNotebook(tracker)?.isPython ?? false,
      execute: async () => {
        const panel = tracker.currentWidget;
        if (panel) {
          // Few sessions export: its code comes with the first time.
          await (await import('./open')).openExport(app, panel, trans);
        }
      }
    });
    tracker.currentChanged.connect(() =>
      app.commands.notifyCommandChanged(command)
    );
    palette?.addItem({ command, category: trans.__('Notebook Operations') });
  }
};
