// Where the parts of the storage panel are built and joined.

import type { ILabStatus, JupyterFrontEnd } from '@jupyterlab/application';
import {
  Clipboard,
  Dialog,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';

import type { Connection } from '../api';
import { Api } from '../api';
import { formatBytes, printable } from '../format';
import { Connecting } from './connecting';
import type { IStorageContext } from './context';
import { STORAGE_PANEL_ID } from './context';
import { takeDrop } from './drop';
import { expiryOf } from './expiry';
import { nameUrl } from './insert';
import { Jobs } from './jobs';
import { Memory } from './memory';
import { StorageModel } from './model';
import { StoragePanel } from './panel';
import { folderOf } from './target';
import type { Upload } from './upload';
import type { Answer } from './uploads';
import { Uploads } from './uploads';

interface IParts {
  readonly app: JupyterFrontEnd;
  readonly tracker: INotebookTracker | null;
  readonly state: IStateDB | null;
  readonly trans: TranslationBundle;
}

interface IComposed {
  readonly context: IStorageContext;
  readonly panel: StoragePanel;
}

export function composeStorage(parts: IParts): IComposed {
  const { app, state, trans } = parts;
  const api = new Api(app.serviceManager.serverSettings);
  const model = new StorageModel(api);
  const memory = new Memory(state);
  void memory.restore();
  const jobs = new Jobs(api);
  const uploads = new Uploads({
    api,
    ask: (upload, more) => askReplace(upload, more, trans),
    onMade: ({ connection, key }, entry) =>
      model.add({ connection, prefix: folderOf(key) }, entry)
  });
  const panel = new StoragePanel({
    model,
    connecting: new Connecting(api),
    memory,
    uploads,
    jobs,
    trans,
    run: command => void app.commands.execute(command),
    onCopy: text => Clipboard.copyToSystem(text),
    onDrop: (row, data) => void takeDrop(context, row, data),
    onWarn: connection => warn(context, connection)
  });
  const context: IStorageContext = {
    ...parts,
    api,
    model,
    memory,
    uploads,
    jobs,
    panel
  };
  return { context, panel };
}

/** Leaving the page would end an upload: let the browser ask first. */
export function holdWhileUploading(uploads: Uploads, status: ILabStatus): void {
  let held: IDisposable | null = null;
  uploads.changed.connect(() => {
    if (uploads.isBusy) {
      held ??= status.setDirty();
    } else {
      held?.dispose();
      held = null;
    }
  });
}

async function askReplace(
  upload: Upload,
  more: boolean,
  trans: TranslationBundle
): Promise<Answer> {
  const { connection, key } = upload.path;
  const asked = await showDialog({
    title: trans.__('Replace %1?', printable(nameUrl(connection, key))),
    body: trans.__(
      'It exists already. What it holds now is lost, and %1 take its place.',
      formatBytes(upload.file.size)
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Skip') }),
      Dialog.warnButton({ label: trans.__('Replace') })
    ],
    checkbox: more ? { label: trans.__('Do this for all that follow') } : null,
    defaultButton: 0
  });
  const answer = asked.button.accept ? 'replace' : 'skip';
  return asked.isChecked ? `${answer} all` : answer;
}

function warn(context: IStorageContext, connection: Connection): void {
  const { app, panel, trans } = context;
  const expiry = expiryOf(connection.expires_at, Date.now(), trans);
  Notification.warning(
    trans.__('The link behind %1 %2.', connection.name, expiry?.text ?? ''),
    {
      autoClose: false,
      actions: [
        {
          label: trans.__('Paste new link'),
          callback: () => {
            app.shell.activateById(STORAGE_PANEL_ID);
            panel.renew(connection.name);
          }
        }
      ]
    }
  );
}
