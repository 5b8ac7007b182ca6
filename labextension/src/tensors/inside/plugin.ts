import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import type { MainAreaWidget } from '@jupyterlab/apputils';
import {
  Clipboard,
  ICommandPalette,
  InputDialog,
  IThemeManager,
  WidgetTracker
} from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';
import type { TranslationBundle } from '@jupyterlab/translation';

import { Api } from '../../api';
import { CommandIDs } from '../../commands';
import { insertIntoCurrent } from '../../notebook';
import type { Path } from '../../storage/target';
import { IGpuModel } from '../../tokens';
import { wordsOf } from '../../translation';
import type { IActions } from './details';
import { h5pyCode, loadCode, xarrayCode } from './insertcode';
import type { InsideModel } from './model';
import { insideId, insideWidget } from './widget';

/** Draws arrays, where it is installed. */
const VIEW_COMMAND = 'jupyter-gpu-ext:tensors-view';

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
    const { commands, serviceManager } = app;
    const trans = wordsOf(translator);
    const api = new Api(serviceManager.serverSettings);
    const actionsFor = (model: InsideModel) =>
      actions(app, tracker, model, trans);
    const opened = new WidgetTracker<MainAreaWidget>({
      namespace: 'jupyter-gpu-ext-inside'
    });
    const paths = new Map<string, Path>();
    const open = (path: Path) => {
      const id = insideId(path);
      paths.set(id, path);
      let widget = opened.find(one => one.id === id);
      if (!widget) {
        const options = { api, gpu, tracker, themes, trans, actionsFor };
        widget = insideWidget(path, options);
        app.shell.add(widget, 'main');
        void opened.add(widget);
      }
      app.shell.activateById(id);
    };
    const command = CommandIDs.openInside;
    commands.addCommand(command, {
      label: trans.__("What's Inside a File or a Store…"),
      describedBy: DESCRIPTION,
      execute: async args => {
        const path = pathFrom(args) ?? (await askForPath(trans));
        if (path) {
          open(path);
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
      connection: { type: 'string', description: "A connection's name." },
      key: { type: 'string', description: 'The file, or the folder.' }
    }
  }
} as const;

function pathFrom(args: { readonly [key: string]: unknown }): Path | null {
  const { connection, key } = args;
  return typeof connection === 'string' && typeof key === 'string'
    ? { connection, key }
    : null;
}

async function askForPath(trans: TranslationBundle): Promise<Path | null> {
  const { value } = await InputDialog.getText({
    title: trans.__("What's inside"),
    label: trans.__('The name-URL of a file, a folder or a Zarr store'),
    placeholder: trans.__('weights://llama/'),
    okLabel: trans.__('Open')
  });
  const [, connection, key] =
    /^\s*([a-z][a-z0-9-]+):\/\/(.*)$/s.exec(value ?? '') ?? [];
  return connection !== undefined && key !== undefined
    ? { connection, key }
    : null;
}

/** What the buttons of one document do. */
function actions(
  app: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  model: InsideModel,
  trans: TranslationBundle
): IActions {
  const { path } = model;
  const insert = (code: (above: readonly string[]) => string) =>
    insertIntoCurrent(app, tracker, code, trans);
  const canView = app.commands.hasCommand(VIEW_COMMAND);
  return {
    insertLoad: part => insert(above => loadCode(part, above)),
    insertXarray: (file, tensor) =>
      insert(above => xarrayCode(path, file, tensor, model.select, above)),
    insertH5py: tensor => insert(above => h5pyCode(path, tensor, above)),
    copy: text => Clipboard.copyToSystem(text),
    view: canView
      ? (tensor, select) =>
          void app.commands.execute(VIEW_COMMAND, {
            ...path,
            path: `/${tensor.name}`,
            select
          })
      : null
  };
}
