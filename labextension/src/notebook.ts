import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

export interface CurrentNotebook {
  readonly path: string;
  readonly kernelId: string | null;
  /** Whether a cell was run, now or before it was saved. */
  readonly hasRun: boolean;
  readonly isPython: boolean;
}

/** What the panels need to know of the notebook in front. */
export function currentNotebook(
  tracker: INotebookTracker | null
): CurrentNotebook | null {
  const panel = tracker?.currentWidget;
  const model = panel?.content.model;
  if (!panel || !model) {
    return null;
  }
  return {
    path: panel.context.path,
    kernelId: panel.sessionContext.session?.kernel?.id ?? null,
    hasRun: model.sharedModel.cells.some(
      cell => 'execution_count' in cell && cell.execution_count !== null
    ),
    isPython: model.defaultKernelLanguage === 'python'
  };
}

/** Put code into the notebook in front and go there, or say what to do first. */
export function insertIntoCurrent(
  app: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  compose: (sourcesAbove: readonly string[]) => string,
  trans: TranslationBundle
): void {
  const panel = tracker?.currentWidget;
  if (!panel) {
    Notification.info(trans.__('Open a notebook first, then insert again.'), {
      autoClose: 5000
    });
  } else if (!insertCode(panel, compose)) {
    Notification.warning(
      trans.__('This notebook is read-only. Open one that you can edit.'),
      { autoClose: 5000 }
    );
  } else {
    app.shell.activateById(panel.id);
  }
}

/**
 * Put code below the active cell, or into it when it is empty.
 *
 * @param compose - Given the sources of the cells above, the code.
 * @returns Whether the notebook took it; a read-only one does not.
 */
function insertCode(
  panel: NotebookPanel,
  compose: (sourcesAbove: readonly string[]) => string
): boolean {
  const notebook = panel.content;
  const shared = notebook.model?.sharedModel;
  if (!shared || notebook.model?.readOnly) {
    return false;
  }
  const at = notebook.activeCellIndex;
  const active = shared.cells[at];
  const above = shared.cells.slice(0, at + 1).map(cell => cell.getSource());
  if (active?.cell_type === 'code' && active.getSource().trim() === '') {
    active.setSource(compose(above));
  } else {
    shared.transact(() => {
      shared.insertCell(at + 1, {
        cell_type: 'code',
        source: compose(above),
        // As the notebook's own "insert below": a person asked for this cell.
        metadata: { trusted: true }
      });
    });
    notebook.activeCellIndex = at + 1;
  }
  notebook.deselectAll();
  notebook.mode = 'command';
  void notebook.scrollToItem(notebook.activeCellIndex);
  return true;
}
