import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs } from '../../commands';
import { insertIntoCurrent } from '../../notebook';
import { streamSource } from '../../storage/streamcode';
import type { IActions } from './details';
import { h5pyCode, loadCode, xarrayCode } from './insertcode';
import type { InsideModel } from './model';

/** What the buttons of one document do. */
export function actionsOf(
  app: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  model: InsideModel,
  trans: TranslationBundle
): IActions {
  const { path } = model;
  const insert = (code: (above: readonly string[]) => string) =>
    insertIntoCurrent(app, tracker, code, trans);
  const canView = app.commands.hasCommand(CommandIDs.viewTensors);
  return {
    insertLoad: part => insert(above => loadCode(part, above)),
    insertXarray: (file, tensor) =>
      insert(above => xarrayCode(path, file, tensor, model.select, above)),
    insertStream: streamed => insert(above => streamSource(streamed, above)),
    insertH5py: tensor => insert(above => h5pyCode(path, tensor, above)),
    copy: text => Clipboard.copyToSystem(text),
    view: canView
      ? (tensor, select) =>
          void app.commands.execute(CommandIDs.viewTensors, {
            ...path,
            path: `/${tensor.name}`,
            select
          })
      : null
  };
}
