// Delete many: a job of the server, watched until it ends.

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Transfer } from '../api';
import { askLoss } from '../components/askloss';
import { formatBytes, printable } from '../format';
import type { IStorageContext } from './context';
import { nameUrl } from './insert';
import type { Jobs } from './jobs';
import { bytesIn, keysIn, requestsOf } from './marks';
import type { FolderRow, ShardsRow } from './rows';
import { placeOf } from './rows';
import { shardsBytes, shardsPattern } from './shards';
import type { Place } from './state';
import { placeId } from './state';
import { nameOf } from './target';

const SHOWN_NAMES = 5;

/** Ask, then delete a folder with all below it, or the shards of one model. */
export async function removeAll(
  context: IStorageContext,
  row: FolderRow | ShardsRow
): Promise<void> {
  const { jobs, model, trans } = context;
  const agreed = await askLoss(
    titleFor(context, row),
    row.kind === 'folder'
      ? trans.__(
          'Everything below this folder is deleted, also what is not listed here. This cannot be undone.'
        )
      : trans.__('This cannot be undone.'),
    trans.__('Delete'),
    trans
  );
  if (agreed) {
    await model.tryOn(row.id, async () => {
      const { connection } = placeOf(row);
      const id = await jobs.delete(
        row.kind === 'folder'
          ? { connection, prefix: row.place.prefix }
          : { connection, keys: keysIn([row]) }
      );
      listAfter(context, id, [parentOf(row)]);
    });
  }
}

/** Ask, then delete the files that are marked. */
export async function removeMarked(context: IStorageContext): Promise<void> {
  const { jobs, model, trans } = context;
  const rows = model.marked.filter(row => model.isWritable(row));
  const keys = keysIn(rows);
  const agreed = await askLoss(
    trans.__('Delete %1 files, %2?', keys.length, formatBytes(bytesIn(rows))),
    trans.__('%1. This cannot be undone.', someOf(keys, trans)),
    trans.__('Delete'),
    trans
  );
  if (!agreed) {
    return;
  }
  const names = new Set(rows.map(row => row.within.connection));
  for (const connection of names) {
    const here = rows.filter(row => row.within.connection === connection);
    const places = here.map(row => row.within);
    await model.tryOn(here[0]?.id ?? '', async () => {
      for (const part of requestsOf(keysIn(here))) {
        const id = await jobs.delete({ connection, keys: part });
        listAfter(context, id, places);
      }
    });
  }
  model.unmark();
}

/** Once a job has ended, list anew the folders that it changed. */
function listAfter(
  context: IStorageContext,
  id: string,
  places: readonly Place[]
): void {
  const { jobs, model } = context;
  const changed = new Map(places.map(place => [placeId(place), place]));
  const list = (job: Transfer | undefined) => {
    if (job?.id === id && job.state !== 'running') {
      jobs.ended.disconnect(onEnded);
      changed.forEach(place => void model.list(place));
    }
  };
  const onEnded = (_: Jobs, job: Transfer) => list(job);
  jobs.ended.connect(onEnded);
  // A small one may have ended before this was listened to.
  list(jobs.all.find(job => job.id === id));
}

function someOf(keys: readonly string[], trans: TranslationBundle): string {
  const shown = keys.slice(0, SHOWN_NAMES).map(key => printable(nameOf(key)));
  const rest = keys.length - shown.length;
  const more = rest > 0 ? [trans.__('%1 more', rest)] : [];
  return [...shown, ...more].join(', ');
}

function titleFor(context: IStorageContext, row: FolderRow | ShardsRow) {
  const { trans } = context;
  const { connection, prefix } = placeOf(row);
  const url = printable(nameUrl(connection, prefix));
  if (row.kind === 'folder') {
    return trans.__('Delete %1 and everything in it?', url);
  }
  return trans.__(
    'Delete %1%2: %3 files, %4?',
    url,
    printable(shardsPattern(row.shards)),
    row.shards.entries.length,
    formatBytes(shardsBytes(row.shards))
  );
}

/** The folder that lists a row. */
function parentOf(row: FolderRow | ShardsRow) {
  const { connection, prefix } = placeOf(row);
  const end = prefix.lastIndexOf('/', prefix.length - 2) + 1;
  return row.kind === 'shards'
    ? row.within
    : { connection, prefix: prefix.slice(0, end) };
}
