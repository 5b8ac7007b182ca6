// Files dropped or picked for a folder.

import type { IStorageContext } from './context';
import { ApiError } from '../request';
import type { Row } from './rows';
import { placeOf } from './rows';
import type { Place } from './state';

interface INamed {
  /** With the folders that were dropped: 'run7/step.pt'. */
  readonly name: string;
  readonly file: File;
}

export function hasFiles(data: DataTransfer): boolean {
  return data.types.includes('Files');
}

/** Take what was dropped on a row. */
export async function takeDrop(
  context: IStorageContext,
  row: Row,
  data: DataTransfer
): Promise<void> {
  // The list is empty once this event is over.
  const entries = [...data.items].map(item => item.webkitGetAsEntry());
  const files = [...data.files].map(file => ({ name: file.name, file }));
  const hasFolder = entries.some(entry => entry?.isDirectory);
  const found = hasFolder
    ? (await Promise.all(entries.map(entry => filesBelow(entry)))).flat()
    : files;
  take(context, row, found);
}

/** Let a person pick files for a row. */
export function pickFiles(context: IStorageContext, row: Row): void {
  const input = document.createElement('input');
  input.type = 'file';
  input.multiple = true;
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    take(
      context,
      row,
      files.map(file => ({ name: file.name, file }))
    );
  });
  input.click();
}

function take(
  context: IStorageContext,
  row: Row,
  files: readonly INamed[]
): void {
  const { model, uploads, trans } = context;
  if (!model.isWritable(row)) {
    model.trouble(
      row.id,
      new ApiError(
        424,
        'denied',
        trans.__(
          '%1 is read-only: nothing was uploaded.',
          placeOf(row).connection
        ),
        trans.__('Connect it again with Read-only unticked.')
      )
    );
    return;
  }
  const place: Place = placeOf(row);
  void model.open(place);
  for (const { name, file } of files) {
    const { connection, prefix } = place;
    uploads.add({ connection, key: `${prefix}${name}` }, file);
  }
}

async function filesBelow(
  entry: FileSystemEntry | null,
  path = ''
): Promise<INamed[]> {
  if (entry instanceof FileSystemFileEntry) {
    const file = await new Promise<File>((resolve, reject) => {
      entry.file(resolve, reject);
    });
    return [{ name: `${path}${entry.name}`, file }];
  }
  if (!(entry instanceof FileSystemDirectoryEntry)) {
    return [];
  }
  const inner = await childrenOf(entry);
  const below = `${path}${entry.name}/`;
  const found = await Promise.all(inner.map(child => filesBelow(child, below)));
  return found.flat();
}

/** A reader gives a folder's children in parts, and none at the end. */
async function childrenOf(
  folder: FileSystemDirectoryEntry
): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (part.length === 0) {
      return all;
    }
    all.push(...part);
  }
}
