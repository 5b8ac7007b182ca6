import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs, NO_ARGUMENTS } from '../commands';
import { insertIntoCurrent } from '../notebook';
import { fitsOnLine, loadSource, nameUrl } from './insert';
import type { StorageModel } from './model';
import { STORAGE_PANEL_ID } from './panel';
import { isArchived } from './row';
import type { ObjectRow, Row } from './state';

interface IContext {
  readonly app: JupyterFrontEnd;
  readonly model: StorageModel;
  readonly tracker: INotebookTracker | null;
  readonly palette: ICommandPalette | null;
  readonly trans: TranslationBundle;
}

export function addStorageCommands(context: IContext): void {
  const { app, model, palette, trans } = context;
  app.commands.addCommand(CommandIDs.openStorage, {
    label: trans.__('Show Storage Panel'),
    describedBy: NO_ARGUMENTS,
    execute: () => app.shell.activateById(STORAGE_PANEL_ID)
  });
  app.commands.addCommand(CommandIDs.refreshStorage, {
    label: trans.__('Refresh Storage'),
    describedBy: NO_ARGUMENTS,
    execute: () => model.refresh()
  });
  app.commands.addCommand(CommandIDs.insertLoad, {
    label: trans.__('Insert Load'),
    describedBy: NO_ARGUMENTS,
    isVisible: () => model.selected?.kind === 'object',
    execute: () => insertLoad(context)
  });
  app.commands.addCommand(CommandIDs.copyUrl, {
    label: trans.__('Copy Name-URL'),
    describedBy: NO_ARGUMENTS,
    isVisible: () => urlOf(model.selected) !== null,
    execute: () => Clipboard.copyToSystem(urlOf(model.selected) ?? '')
  });
  for (const command of [CommandIDs.openStorage, CommandIDs.refreshStorage]) {
    palette?.addItem({ command, category: trans.__('Storage') });
  }
}

function insertLoad(context: IContext): void {
  const { app, model, tracker, trans } = context;
  const row = model.selected;
  if (row?.kind !== 'object') {
    return;
  }
  const reason = whyNot(row, model, trans);
  if (reason) {
    Notification.warning(reason, { autoClose: 8000 });
    return;
  }
  const { connection, entry } = row;
  insertIntoCurrent(
    app,
    tracker,
    above => loadSource(connection, entry.key, above),
    trans
  );
}

/** Why a load of this file would be refused, as far as is known by now. */
function whyNot(
  row: ObjectRow,
  model: StorageModel,
  trans: TranslationBundle
): string | null {
  if (isArchived(row)) {
    return trans.__('archived: cannot be read');
  }
  if (row.entry.unreadable !== null) {
    return row.entry.unreadable;
  }
  if (!fitsOnLine(nameUrl(row.connection, row.entry.key))) {
    return trans.__('This name holds a line break, which no magic can spell.');
  }
  const { inside } = model;
  return inside?.state === 'failed' &&
    inside.problem.code === 'unsupported_format'
    ? `${inside.problem.message} ${inside.problem.hint}`
    : null;
}

function urlOf(row: Row | null): string | null {
  switch (row?.kind) {
    case 'connection':
    case 'folder':
      return nameUrl(row.place.connection, row.place.prefix);
    case 'object':
      return nameUrl(row.connection, row.entry.key);
    default:
      return null;
  }
}
