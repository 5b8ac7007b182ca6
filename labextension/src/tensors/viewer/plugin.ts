import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import type { MainAreaWidget } from '@jupyterlab/apputils';
import {
  ICommandPalette,
  IThemeManager,
  WidgetTracker
} from '@jupyterlab/apputils';
import type { CodeCell } from '@jupyterlab/cells';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../../commands';
import { wordsOf } from '../../translation';
import { askForPath } from '../ask';
import { VIEW_MIME_TYPE, ViewCard } from './card';
import { targetOf, viewerId } from './contract';
import type { Viewer, ViewerRoom } from './widget';

/** Before text/html (50), which the kernel sends along for other frontends. */
const RANK = 10;

export const viewerPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-gpu-ext:viewer',
  description: 'Shows arrays of files and Zarr stores.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [
    INotebookTracker,
    ITranslator,
    ILayoutRestorer,
    ICommandPalette,
    IThemeManager
  ],
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    themes: IThemeManager | null
  ): void => {
    const trans = wordsOf(translator);
    const command = CommandIDs.viewTensors;
    const viewers = new WidgetTracker<MainAreaWidget<Viewer>>({
      namespace: 'jupyter-gpu-ext-view'
    });
    addCommand({ app, tracker, themes, trans }, viewers);
    palette?.addItem({ command, category: trans.__('Storage') });
    void restorer?.restore(viewers, {
      command,
      name: widget => widget.id,
      args: widget => ({ ...widget.content.place })
    });
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [VIEW_MIME_TYPE],
        createRenderer: () =>
          new ViewCard({
            open: target => void app.commands.execute(command, { ...target }),
            isNew: node => isRunning(tracker, node),
            trans
          })
      },
      RANK
    );
  }
};

function addCommand(
  room: ViewerRoom,
  viewers: WidgetTracker<MainAreaWidget<Viewer>>
): void {
  const { app, trans } = room;
  const text = { type: 'string' };
  const question = {
    title: trans.__('View an array'),
    label: trans.__('A file or a Zarr store'),
    placeholder: trans.__('era5://t2m.zarr')
  };
  app.commands.addCommand(CommandIDs.viewTensors, {
    label: trans.__('View an Array from Storage…'),
    describedBy: {
      args: {
        type: 'object',
        properties: { connection: text, key: text, path: text, select: text }
      }
    },
    execute: async args => {
      const target = targetOf(args) ?? targetOf(await askForPath(question));
      if (!target) {
        return;
      }
      const id = viewerId(target);
      const open = viewers.find(widget => widget.id === id);
      if (open) {
        open.content.goTo(target);
      } else {
        // Few sessions look at an array: its code comes with the first.
        const { viewerWidget } = await import('./widget');
        const widget = viewerWidget({ ...room, target });
        void viewers.add(widget);
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(id);
    }
  });
}

/** Whether the cell with this output runs: it was not saved, but made now. */
function isRunning(tracker: INotebookTracker | null, node: Node): boolean {
  const panel = tracker?.find(widget => widget.node.contains(node));
  const cell = panel?.content.widgets.find(one => one.node.contains(node));
  return (
    cell?.model.type === 'code' &&
    (cell as CodeCell).model.executionState === 'running'
  );
}
