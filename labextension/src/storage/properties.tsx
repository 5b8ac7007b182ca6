import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Entry } from '../api';
import { formatBytes, formatMoment, printable } from '../format';
import type { IStorageContext } from './context';
import { nameUrl } from './insert';
import type { ObjectRow } from './rows';

/** Ask for a file's properties as they are now, and show them. */
export async function showProperties(
  context: IStorageContext,
  row: ObjectRow
): Promise<void> {
  const { api, model, trans } = context;
  const { connection, entry } = row;
  await model.tryOn(row.id, async () => {
    const now = await api.properties(connection, entry.key);
    void showDialog({
      title: trans.__('Properties'),
      body: (
        <Properties
          url={nameUrl(connection, entry.key)}
          entry={now}
          trans={trans}
        />
      ),
      buttons: [Dialog.okButton({ label: trans.__('Close') })]
    });
  });
}

function Properties(props: {
  readonly url: string;
  readonly entry: Entry;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { url, entry, trans } = props;
  const size = entry.size_bytes;
  const lines: [string, string | null][] = [
    [trans.__('name-URL'), url],
    [
      trans.__('size'),
      size === null
        ? null
        : trans.__('%1 (%2 bytes)', formatBytes(size), size.toLocaleString())
    ],
    [trans.__('modified'), entry.modified && formatMoment(entry.modified)],
    [trans.__('tier'), entry.tier],
    [trans.__('ETag'), entry.etag],
    [trans.__('cannot be read'), entry.unreadable]
  ];
  return (
    <dl className="jp-gpuext-Facts-list">
      {lines.map(([label, value]) =>
        value === null || value === '' ? null : (
          <React.Fragment key={label}>
            <dt>{label}</dt>
            <dd>{printable(value)}</dd>
          </React.Fragment>
        )
      )}
    </dl>
  );
}
