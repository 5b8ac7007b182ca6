// Rename, copy, delete, new folder: asked first where something could be lost.

import { InputDialog } from '@jupyterlab/apputils';

import type { Change, Entry } from '../api';
import { askLoss } from '../components/askloss';
import { formatBytes, printable } from '../format';
import { ApiError } from '../request';
import type { IStorageContext } from './context';
import { nameUrl } from './insert';
import type { ConnectionRow, FolderRow, ObjectRow } from './rows';
import type { Place } from './state';
import { placeId } from './state';
import { folderOf, nameOf } from './target';

export async function rename(
  context: IStorageContext,
  row: ObjectRow
): Promise<void> {
  const { trans } = context;
  const { name, key } = row.entry;
  const stem = name.lastIndexOf('.');
  const asked = await InputDialog.getText({
    title: trans.__('Rename %1', printable(name)),
    label: trans.__('New name'),
    okLabel: trans.__('Rename'),
    text: name,
    selectionRange: stem > 0 ? stem : name.length
  });
  const wanted = asked.button.accept ? asked.value : null;
  if (wanted && wanted !== name) {
    const to = key.slice(0, key.length - name.length) + wanted;
    await context.model.tryOn(row.id, () => change(context, row, to, true));
  }
}

export async function copyTo(
  context: IStorageContext,
  row: ObjectRow
): Promise<void> {
  const { trans } = context;
  const asked = await InputDialog.getText({
    title: trans.__('Copy %1', printable(row.entry.name)),
    label: trans.__('To, below %1://', row.connection),
    okLabel: trans.__('Copy'),
    text: row.entry.key
  });
  const to = asked.button.accept ? asked.value : null;
  if (to && to !== row.entry.key) {
    await context.model.tryOn(row.id, () => change(context, row, to, false));
  }
}

/** Move or copy; what is there already is replaced only when a person says so. */
async function change(
  context: IStorageContext,
  row: ObjectRow,
  to: string,
  move: boolean
): Promise<void> {
  const { api, model } = context;
  const { connection, entry } = row;
  const wanted: Change = { connection, key: entry.key, to, move };
  const made = await orReplace(context, nameUrl(connection, to), overwrite =>
    api.change({ ...wanted, overwrite })
  );
  if (!made) {
    return;
  }
  if (move) {
    model.drop(row.within, [entry.key]);
  }
  model.add({ connection, prefix: folderOf(to) }, made);
}

async function orReplace(
  context: IStorageContext,
  url: string,
  act: (overwrite: boolean) => Promise<Entry>
): Promise<Entry | null> {
  try {
    return await act(false);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'exists') {
      throw error;
    }
  }
  const { trans } = context;
  const agreed = await askLoss(
    trans.__('Replace %1?', printable(url)),
    trans.__('It exists already. What it holds now is lost.'),
    trans.__('Replace'),
    trans
  );
  return agreed ? act(true) : null;
}

export async function removeObject(
  context: IStorageContext,
  row: ObjectRow
): Promise<void> {
  const { api, model, trans } = context;
  const { connection, entry } = row;
  const size =
    entry.size_bytes === null ? '' : ` (${formatBytes(entry.size_bytes)})`;
  const url = printable(nameUrl(connection, entry.key));
  const agreed = await askLoss(
    trans.__('Delete %1%2?', url, size),
    trans.__('This cannot be undone.'),
    trans.__('Delete'),
    trans
  );
  if (agreed) {
    await model.tryOn(row.id, async () => {
      // Only what the person saw: if it changed since, the server refuses.
      await api.remove(connection, entry.key, entry.etag);
      model.drop(row.within, [entry.key]);
    });
  }
}

export async function newFolder(
  context: IStorageContext,
  row: ConnectionRow | FolderRow
): Promise<void> {
  const { api, model, trans } = context;
  const { connection, prefix } = row.place;
  const asked = await InputDialog.getText({
    title: trans.__('New folder in %1', printable(nameUrl(connection, prefix))),
    label: trans.__('Name'),
    okLabel: trans.__('Create')
  });
  const name = (asked.button.accept && asked.value) || '';
  const key = `${prefix}${name.replace(/\/+$/, '')}/`;
  if (name !== '') {
    await model.tryOn(row.id, async () => {
      const made = await api.makeFolder(connection, key);
      await model.open(row.place);
      // Storage without folders lists none before something lies in it.
      showNew(context, row.place, made);
    });
  }
}

function showNew(context: IStorageContext, place: Place, made: Entry): void {
  const first = made.key.slice(place.prefix.length).indexOf('/') + 1;
  const key = made.key.slice(0, place.prefix.length + first);
  context.model.add(place, { ...made, key, name: nameOf(key) });
  const id = placeId({ connection: place.connection, prefix: key });
  context.model.selectId(id);
}

export async function disconnect(
  context: IStorageContext,
  row: ConnectionRow
): Promise<void> {
  const { api, model, trans } = context;
  const { name, root } = row.connection;
  const agreed = await askLoss(
    trans.__('Disconnect %1?', name),
    trans.__(
      'The connection and its secret are removed from this server. Nothing in %1 is touched. Lines with %2:// stop working until it is connected again.',
      printable(root),
      name
    ),
    trans.__('Disconnect'),
    trans
  );
  if (agreed) {
    await model.tryOn(row.id, async () => {
      await api.disconnect(name);
      context.memory.forget(name);
      await model.refresh();
    });
  }
}
