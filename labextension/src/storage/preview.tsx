import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Preview } from '../api';
import { formatBytes, printable } from '../format';

const SHOWN_ROWS = 50;
const SHOWN_COLUMNS = 30;
/** Nothing that can run or load anything: no SVG. */
const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

interface IPreviewProps {
  readonly preview: Preview;
  readonly name: string;
  readonly trans: TranslationBundle;
}

/** The beginning of a file that holds no tensors, never as HTML. */
export function PreviewBody(props: IPreviewProps): React.JSX.Element {
  const { preview, trans } = props;
  return (
    <>
      <div
        className="jp-gpuext-Inside-scroll"
        data-kind={preview.kind}
        tabIndex={0}
        role="group"
        aria-label={trans.__('Preview')}
      >
        <Content {...props} />
      </div>
      <p className="jp-gpuext-Quiet jp-gpuext-Preview-note">
        {preview.truncated
          ? trans.__('Only the beginning: %1 read.', read(preview))
          : trans.__('All of it: %1 read.', read(preview))}
      </p>
    </>
  );
}

function Content(props: IPreviewProps): React.JSX.Element {
  const { preview, trans } = props;
  const { text, rows, columns, media_type = '', base64 } = preview;
  if (base64 !== undefined && IMAGE_TYPES.includes(media_type)) {
    return (
      <img
        className="jp-gpuext-Preview-image"
        src={`data:${media_type};base64,${base64}`}
        alt={printable(props.name)}
      />
    );
  }
  if (rows !== undefined) {
    return <Table columns={columns ?? []} rows={rows} trans={trans} />;
  }
  return text ? (
    <pre className="jp-gpuext-Preview-text">{text}</pre>
  ) : (
    <p className="jp-gpuext-Quiet">{trans.__('This file is empty.')}</p>
  );
}

function Table(props: {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { columns, rows, trans } = props;
  const width = Math.max(columns.length, ...rows.map(row => row.length));
  const hidden = width - SHOWN_COLUMNS;
  const cut = (cells: readonly string[]) => cells.slice(0, SHOWN_COLUMNS);
  return (
    <>
      <table className="jp-gpuext-Preview-table">
        <thead>
          <tr>
            {cut(columns).map((column, index) => (
              <th key={index} scope="col" title={printable(column)}>
                {printable(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, SHOWN_ROWS).map((row, index) => (
            <tr key={index}>
              {cut(row).map((cell, at) => (
                <td key={at} title={printable(cell)}>
                  {printable(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {hidden > 0 ? (
        <p className="jp-gpuext-Quiet">
          {trans._n('and %1 more column', 'and %1 more columns', hidden)}
        </p>
      ) : null}
    </>
  );
}

function read(preview: Preview): string {
  return formatBytes(preview.bytes_read);
}
