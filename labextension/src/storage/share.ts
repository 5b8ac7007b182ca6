// What leaves the server: a download, a link for others.

import { Clipboard, InputDialog, Notification } from '@jupyterlab/apputils';

import { formatMoment, printable } from '../format';
import type { IStorageContext } from './context';
import { nameUrl } from './insert';
import type { ObjectRow } from './rows';

/** Save a file by the browser itself: it streams, and shows its progress. */
export async function download(
  context: IStorageContext,
  row: ObjectRow
): Promise<void> {
  const { api, model } = context;
  const { connection, entry } = row;
  await model.tryOn(row.id, async () => {
    // A browser's download says no reason when it fails; this question does.
    await api.properties(connection, entry.key);
    saveAs(withXsrf(api.downloadUrl(connection, entry.key)), entry.name);
  });
}

function saveAs(url: string, name: string): void {
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  document.body.appendChild(link);
  link.click();
  link.remove();
}

/** As Jupyter's own file downloads: a link can send no header. */
function withXsrf(url: string): string {
  const mark = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  const full = new URL(url, document.baseURI);
  if (mark !== undefined) {
    full.searchParams.append('_xsrf', mark);
  }
  return full.toString();
}

/** Make a link for others and put it on the clipboard, and nowhere else. */
export async function share(
  context: IStorageContext,
  row: ObjectRow
): Promise<void> {
  const { api, model, trans } = context;
  const { connection, entry } = row;
  const spans: [string, number][] = [
    [trans.__('1 hour'), 60],
    [trans.__('8 hours'), 480],
    [trans.__('1 day'), 1440],
    [trans.__('7 days'), 10_080]
  ];
  const asked = await InputDialog.getItem({
    title: trans.__('Share %1?', printable(nameUrl(connection, entry.key))),
    label: trans.__(
      'Whoever has the link can read this one object, without signing in, for'
    ),
    items: spans.map(([label]) => label),
    okLabel: trans.__('Copy link')
  });
  const minutes = spans.find(([label]) => label === asked.value)?.[1];
  if (asked.button.accept && minutes !== undefined) {
    await model.tryOn(row.id, async () => {
      const made = await api.share(connection, entry.key, minutes);
      Clipboard.copyToSystem(made.url);
      Notification.success(
        trans.__(
          'The link is on the clipboard; it ends %1.',
          formatMoment(made.expires_at)
        ),
        { autoClose: 5000 }
      );
    });
  }
}
