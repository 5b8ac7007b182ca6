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
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../../commands';
import type { Path } from '../../storage/target';
import { IGpuModel } from '../../tokens';
import { wordsOf } from '../../translation';
import { askForPath } from '../ask';
import { insideId } from './contract';

export const insidePlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-gpu-ext:inside',
  description: "Shows what's inside a file or a store: names, types, chunks.",
  autoStart: true,
  optional: [
    ITranslator,
    INotebookTracker,
    ILayoutRestorer,
    ICommandPalette,
    IThemeManager,
    IGpuModel
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    themes: IThemeManager | null,
    gpu: IGpuModel | null
  ): void => {
    const trans = wordsOf(translator);
    const opened = new WidgetTracker<MainAreaWidget>({
      namespace: 'jupyter-gpu-ext-inside'
    });
    const paths = new Map<string, Path>();
    const options = { app, gpu, tracker, themes, trans };
    const open = async (path: Path) => {
      const id = insideId(path);
      // Few sessions look inside: its code comes with the first look.
      const { insideWidget } = await import('./widget');
      if (!opened.find(widget => widget.id === id)) {
        const widget = insideWidget(path, options);
        paths.set(id, path);
        void opened.add(widget);
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(id);
    };
    const command = CommandIDs.openInside;
    const question = {
      title: trans.__("What's inside"),
      label: trans.__('The name-URL of a file, a folder or a Zarr store'),
      placeholder: trans.__('weights://llama/'),
      okLabel: trans.__('Open')
    };
    app.commands.addCommand(command, {
      label: trans.__("What's Inside a File or a Store…"),
      describedBy: DESCRIPTION,
      execute: async args => {
        const path = pathFrom(args) ?? (await askForPath(question));
        if (path) {
          await open(path);
        }
      }
    });
    palette?.addItem({ command, category: trans.__('Storage') });
    void restorer?.restore(opened, {
      command,
      args: ({ id }) => ({ ...paths.get(id) }),
      name: ({ id }) => id
    });
  }
};

const DESCRIPTION = {
  args: {
    type: 'object',
    properties: {
      connection: { type: 'string' },
      key: { type: 'string' }
    }
  }
} as const;

function pathFrom(args: { readonly [key: string]: unknown }): Path | null {
  const { connection, key } = args;
  return typeof connection === 'string' && typeof key === 'string'
    ? { connection, key }
    : null;
}
