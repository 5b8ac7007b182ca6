// What a row becomes in the notebook: a load, a library's call, a text.

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { insertIntoCurrent } from '../notebook';
import type { IStorageContext } from './context';
import { fitsOnLine, loadLine, loadSource, nameUrl } from './insert';
import { mayHoldTensors } from './look';
import type { StorageModel } from './model';
import { withRecent } from './paths';
import type { Reader } from './readcode';
import { pythonLiteral, readSource } from './readcode';
import type { FolderRow, ObjectRow, Row } from './rows';
import { isArchived } from './rows';
import type { Path } from './target';

export function insertLoad(context: IStorageContext, row: ObjectRow): void {
  const { model, trans } = context;
  const reason = whyNot(row, model, trans);
  if (reason) {
    Notification.warning(reason, { autoClose: 8000 });
    return;
  }
  const { connection, entry } = row;
  insert(context, row, above => loadSource(connection, entry.key, above));
}

export async function insertReader(
  context: IStorageContext,
  row: ObjectRow | FolderRow,
  reader: Reader
): Promise<void> {
  const path = pathOf(row);
  const kind = context.model.badges.kindOf(row);
  if (row.kind === 'folder' && reader === 'xarray') {
    const { insertStore } = await import('./insertstore');
    await insertStore(context, row, 'xarray');
  } else if (path) {
    const { connection, key } = path;
    insert(
      context,
      row,
      above => readSource(reader, connection, key, above, kind) ?? ''
    );
  }
}

export async function insertStream(
  context: IStorageContext,
  row: FolderRow
): Promise<void> {
  const { insertStore } = await import('./insertstore');
  await insertStore(context, row, 'stream');
}

/** What a row is dragged as; null: it stays where it is. */
export function dragTextOf(row: Row): string | null {
  const path = pathOf(row);
  const url = urlOf(row);
  if (!path || url === null) {
    return null;
  }
  return row.kind === 'object' && mayHoldTensors(path.key) && fitsOnLine(url)
    ? loadLine(path.connection, path.key)
    : pythonLiteral(url);
}

export function urlOf(row: Row | null): string | null {
  const path = pathOf(row);
  return path && nameUrl(path.connection, path.key);
}

/** The path of a connection, folder or file; shards have their folder's. */
export function pathOf(row: Row | null): Path | null {
  switch (row?.kind) {
    case 'connection':
    case 'folder':
      return { connection: row.place.connection, key: row.place.prefix };
    case 'object':
      return { connection: row.connection, key: row.entry.key };
    case 'shards':
      return { connection: row.within.connection, key: row.within.prefix };
    default:
      return null;
  }
}

/** Put a row's code into the notebook in front. */
export function insert(
  context: IStorageContext,
  row: Row,
  compose: (above: readonly string[]) => string
): void {
  const { app, memory, tracker, trans } = context;
  const path = pathOf(row);
  if (path) {
    memory.update(paths => withRecent(paths, path));
  }
  insertIntoCurrent(app, tracker, compose, trans);
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
  const { inside } = model.looking;
  const isSeen = inside?.row.id === row.id;
  return isSeen &&
    inside.state === 'failed' &&
    inside.problem.code === 'unsupported_format'
    ? `${inside.problem.message} ${inside.problem.hint}`
    : null;
}
