import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator } from '@jupyterlab/translation';

import { wordsOf } from '../translation';
import { kernelOf } from './kernel';
import { PROGRESS_MIME_TYPE, ProgressWidget } from './progress';

/** Before text/html (50), which the kernel sends along for other frontends. */
const RANK = 10;

export const progressPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-gpu-ext:progress',
  description: 'Draws the progress of a load below its cell, with Cancel.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ): void => {
    const trans = wordsOf(translator);
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [PROGRESS_MIME_TYPE],
        createRenderer: () =>
          new ProgressWidget(node => kernelOf(tracker, node), trans)
      },
      RANK
    );
  }
};
