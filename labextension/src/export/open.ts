import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import { baseName, printable } from '../format';
import { exportId, exportWidget } from './widget';

/** Open the dialog of a notebook beside it; what is exported is its file. */
export async function openExport(
  { commands, serviceManager, shell }: JupyterFrontEnd,
  panel: NotebookPanel,
  trans: TranslationBundle
): Promise<void> {
  if (!(await isSaved(panel, trans))) {
    return;
  }
  const id = exportId(panel);
  if (![...shell.widgets('main')].some(widget => widget.id === id)) {
    const widget = exportWidget({
      ...{ commands, serviceManager, shell, panel, trans }
    });
    shell.add(widget, 'main', { mode: 'split-right', ref: panel.id });
  }
  shell.activateById(id);
}

/** Ask before the file of a notebook with changes is written. */
async function isSaved(
  { context }: NotebookPanel,
  trans: TranslationBundle
): Promise<boolean> {
  if (!context.model.dirty || context.model.readOnly) {
    return true;
  }
  const asked = await showDialog({
    title: trans.__('Save the notebook?'),
    body: trans.__(
      '%1 has changes. What is exported is the saved file.',
      printable(baseName(context.path))
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Save') })
    ]
  });
  if (asked.button.accept) {
    await context.save();
  }
  return asked.button.accept;
}
